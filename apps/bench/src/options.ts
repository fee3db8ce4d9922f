import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { ParsedArgs } from 'citty'
import type { ModelFiles } from './peers/peer.ts'

/** What `npm run bench` takes. Lists are said to be changeable, for citty's types want them so. */
export const commandOptions = {
  filter: {
    type: 'string',
    default: '',
    description: 'Only cases whose name contains this, e.g. prefill or llama; or one of several, separated by commas',
  },
  quick: { type: 'boolean', default: false, description: 'One case of each kind, in less than two minutes' },
  device: {
    type: 'enum',
    options: ['cpu', 'gpu', 'both'] as ('cpu' | 'gpu' | 'both')[],
    default: 'cpu',
    description: 'Which backends compete',
  },
  peers: { type: 'string', default: '', description: 'Only peers whose name contains one of these, separated by commas' },
  threads: { type: 'string', default: '1', description: 'Threads for every contestant, or auto' },
  minutes: { type: 'string', description: 'Ends by about then: the slow get fewer rounds or are left out, and rows say so' },
  patience: {
    type: 'string',
    default: '120',
    description: 'Leaves out who needs more than so many seconds for three rounds of a case',
  },
  rounds: { type: 'string', description: 'Interleaved pairs: 9 unless said otherwise, 7 with --quick' },
  model: {
    type: 'string',
    description:
      'A folder with stories260K.bin and tok512.bin, for cases that write; by default ../shared/models/stories260k beside the repository',
  },
  out: { type: 'string', description: 'Writes PATH.json, PATH.md and PATH.html; a PATH that ends in .json, only that' },
  title: { type: 'string', description: 'A name for the report' },
  compare: {
    type: 'boolean',
    default: false,
    description: 'With two reports, a.json b.json: says what changed beyond noise, runs nothing',
  },
  against: {
    type: 'string',
    description: 'Another build’s apps/bench folder: that build of QKV competes too; exit code 1 where this one is slower',
  },
  baseline: {
    type: 'string',
    description: 'A saved report: compares this run with it; exit code 1 where QKV fell behind its peers',
  },
} as const

/** The options of a run, checked. */
export interface Choices {
  readonly filter: string
  readonly quick: boolean
  readonly device: string
  readonly peers: string
  /** Another build's host. */
  readonly against: URL | undefined
  readonly model?: string | undefined
  readonly title?: string | undefined
  readonly threads: number
  readonly rounds: number | undefined
  readonly minutes: number | undefined
  /** In seconds. */
  readonly patience: number
}

export function choicesOf(args: ParsedArgs<typeof commandOptions>): Choices {
  const unknown = Object.keys(args).find((name) => name !== '_' && !(name in commandOptions))
  if (unknown !== undefined) refuse(`--${unknown}: there is no such option; --help names those that there are`)
  if (args._.length > 0) refuse(`${args._.join(' ')}: what is this? Cases are chosen by --filter`)
  return {
    ...args,
    against: args.against === undefined ? undefined : otherBuild(args.against),
    threads: args.threads === 'auto' ? availableParallelism() : countOption('threads', args.threads),
    rounds: args.rounds === undefined ? undefined : countOption('rounds', args.rounds),
    minutes: args.minutes === undefined ? undefined : positiveOption('minutes', args.minutes),
    patience: positiveOption('patience', args.patience),
  }
}

/** The files of a model that writes; undefined where none was named and none lies beside the repository. */
export function readModel(named: string | undefined): ModelFiles | undefined {
  const beside = fileURLToPath(new URL('../../../../shared/models/stories260k', import.meta.url))
  const folder = named === undefined ? beside : resolve(callerFolder(), named)
  const [checkpoint, tokenizer] = [join(folder, 'stories260K.bin'), join(folder, 'tok512.bin')]
  if (existsSync(checkpoint) && existsSync(tokenizer))
    return { checkpoint: readFileSync(checkpoint), tokenizer: readFileSync(tokenizer) }
  return named === undefined ? undefined : refuse(`--model ${named}: there are no stories260K.bin and tok512.bin`)
}

/** The other build's bench, if it is built. */
function otherBuild(folder: string): URL {
  const host = resolve(callerFolder(), folder, 'dist', 'host-process.js')
  return existsSync(host) ? pathToFileURL(host) : refuse(`--against ${folder}: there is no built bench (dist/host-process.js)`)
}

/** What the user can put right is said in one line. */
export function refuse(message: string): never {
  console.error(message)
  process.exit(1)
}

function countOption(name: string, text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  return refuse(`--${name} must be a whole number > 0; received '${text}'`)
}

function positiveOption(name: string, text: string): number {
  const number = Number(text)
  if (Number.isFinite(number) && number > 0) return number
  return refuse(`--${name} must be a number > 0; received '${text}'`)
}

/** Where the command was given, which may not be where the package lies. */
export function callerFolder(): string {
  return process.env['INIT_CWD'] ?? process.cwd()
}
