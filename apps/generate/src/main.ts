import { createBackend } from '@qkv/attention/auto'
import { QkvError } from '@qkv/core'
import { Decoder, measureHeads } from '@qkv/transformer'
import { defineCommand, runMain } from 'citty'
import { readModelFiles } from './files.ts'
import { headTable } from './head-table.ts'
import { numberOption, options, type Options } from './options.ts'
import { write } from './write.ts'

const command = defineCommand({
  meta: { name: 'npm run generate --', description: 'A llama2.c model writes on from your words, on exact attention.' },
  args: options,
  async run({ args }) {
    try {
      await generate(args)
    } catch (failure) {
      if (!isForTheUser(failure)) throw failure
      console.error(failure.message)
      process.exitCode = 1
    }
  },
})

async function generate(args: Options): Promise<void> {
  const sampling = {
    temperature: numberOption('temperature', args.temperature),
    topP: numberOption('top-p', args['top-p']),
    seed: numberOption('seed', args.seed),
  }
  const steps = args.steps === undefined ? undefined : numberOption('steps', args.steps)
  const { checkpoint, tokenizer } = await readModelFiles(args.checkpoint, args.tokenizer)
  using backend = await createBackend(args.backend === 'auto' ? {} : { prefer: args.backend, softwareGpu: true })
  using model = new Decoder(checkpoint, { backend })
  console.error(backend.description)
  if (args.heads) console.log(headTable(await measureHeads(model, tokenizer, sampling.seed)))
  else await write(model, tokenizer, args.prompt, { steps, sampling, cache: args.cache })
}

/** What the user can put right is said in one line; anything else is a defect and shows its stack. */
function isForTheUser(failure: unknown): failure is Error {
  return QkvError.is(failure) || (failure instanceof Error && 'syscall' in failure)
}

await runMain(command)
