import { generateText, sampler, type Decoder, type SamplingOptions, type Tokenizer } from '@qkv/transformer'

export interface WriteOptions {
  readonly steps: number | undefined
  readonly sampling: SamplingOptions
  readonly cache: boolean
}

/** Streams the text to stdout; how fast it came goes to stderr, so that the text can be piped on. */
export async function write(
  model: Decoder,
  tokenizer: Tokenizer,
  prompt: string,
  { steps, sampling, cache }: WriteOptions,
): Promise<void> {
  const sample = sampler(sampling)
  process.stdout.write(prompt)
  const start = performance.now()
  let firstAt = start
  let written = 0
  for await (const { text } of generateText(model, tokenizer, prompt, { steps, sample, cache })) {
    if (written++ === 0) firstAt = performance.now()
    process.stdout.write(text)
  }
  process.stdout.write('\n')
  // The first token waits for the whole prompt; the others come at the model's pace.
  const seconds = (performance.now() - firstAt) / 1000
  const pace = written > 1 ? `${((written - 1) / seconds).toFixed(1)} tokens/s` : 'too short to time'
  console.error(`${written} tokens, first after ${(firstAt - start).toFixed(0)} ms, then ${pace}`)
}
