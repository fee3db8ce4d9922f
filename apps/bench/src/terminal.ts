import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { defineCommand, runMain } from 'citty'
import { createLogUpdate } from 'log-update'
import colours from 'picocolors'
import { selectCases } from './cases/index.ts'
import { startProcess } from './host/process.ts'
import { currentCommit, describeMachine } from './measure/machine.ts'
import { measureRooflines } from './measure/rooflines.ts'
import { nodeFields } from './peers/node.ts'
import { isOtherBuild, otherBuildOf } from './peers/other-build.ts'
import type { ModelFiles } from './peers/peer.ts'
import { compareReports, describeChanges, fellBehind, slowerThanOtherBuild } from './report/compare.ts'
import { grouped } from './report/groups.ts'
import { html } from './report/html.ts'
import { markdown } from './report/markdown.ts'
import type { BenchReport, CaseReport } from './report/report.ts'
import { caseTable, closing, peerLine } from './report/terminal.ts'
import { runCases, type Progress } from './runner.ts'

/** Left out of a quick run unless asked for: some take seconds a call. */
const aside = new Set(['tensorflow.js/cpu', 'qkv/javascript', 'qkv/one-thread', 'plain-loop'])

/** What a quick run plans to take; starting and ending come on top. */
const quickMinutes = 1.5

const command = defineCommand({
  meta: { name: 'bench', description: 'How fast exact attention runs here, and against what one would pick instead' },
  args: {
    filter: {
      type: 'string',
      default: '',
      description: 'Only cases whose name contains this, e.g. prefill or llama; or one of several, separated by commas',
    },
    quick: { type: 'boolean', default: false, description: 'One case of each kind, in less than two minutes' },
    device: { type: 'enum', options: ['cpu', 'gpu', 'both'], default: 'cpu', description: 'Which backends compete' },
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
  },
  async run({ args }) {
    if (args.compare) return compare(args._)
    const threads = args.threads === 'auto' ? availableParallelism() : countOption('threads', args.threads)
    const rounds = args.rounds === undefined ? undefined : countOption('rounds', args.rounds)
    const minutes = args.minutes === undefined ? undefined : positiveOption('minutes', args.minutes)
    const patience = positiveOption('patience', args.patience)
    const baseline = args.baseline === undefined ? undefined : read(args.baseline)
    const report = await measure({ ...args, threads, rounds, minutes, patience })
    console.log(closing(report))
    if (args.out !== undefined) write(report, resolve(callerFolder(), args.out))
    if (baseline !== undefined) judge(baseline, report)
    if (args.against !== undefined) judgeBuilds(report)
  },
})

await runMain(command)
process.exit()

interface Choices {
  readonly filter: string
  readonly quick: boolean
  readonly device: string
  readonly peers: string
  readonly against?: string | undefined
  readonly model?: string | undefined
  readonly title?: string | undefined
  readonly threads: number
  readonly rounds: number | undefined
  readonly minutes: number | undefined
  /** In seconds. */
  readonly patience: number
}

async function measure(choices: Choices): Promise<BenchReport> {
  const { filter, quick, device, peers, against, title, threads, rounds, minutes = quick ? quickMinutes : undefined } = choices
  const cases = selectCases({ filter, quick })
  if (cases.length === 0) refuse(`--filter ${filter}: no case${quick ? ' of the quick ones' : ''} has this in its name`)
  const model = readModel(choices.model)
  const machine = describeMachine()
  const commit = currentCommit()
  const rooflines = await measureRooflines(() => startProcess(), threads)
  const fields = [nodeFields.cpu, nodeFields.gpu]
    .filter(({ subject }) => device === 'both' || subject.device === device)
    .map(({ subject, peers: all }) => {
      const named = all.filter(({ id }) => peers.split(',').some((name) => id.includes(name)))
      const chosen = quick && peers === '' ? named.filter(({ id }) => !aside.has(id)) : named
      return { subject, peers: against === undefined ? chosen : [otherBuildOf(subject), ...chosen] }
    })
  const results = await runCases({
    fields,
    cases,
    threads,
    model,
    plan: {
      rounds: rounds ?? (quick ? 7 : 9),
      warmMilliseconds: 200,
      sampleMilliseconds: quick ? 10 : 20,
      budgetMilliseconds: 8000,
      patienceMilliseconds: 1000 * choices.patience,
    },
    budgetMilliseconds: minutes === undefined ? undefined : 60_000 * minutes,
    startHost: ({ id }) => (isOtherBuild(id) && against !== undefined ? startProcess(hostOf(against)) : startProcess()),
    deadlineMilliseconds: 300_000,
    onProgress: liveTable(),
  })
  const onGpu = results.peers.find(({ id }) => id === nodeFields.gpu.subject.id)
  const adapter = onGpu?.status === 'ready' ? onGpu.settings : undefined
  return {
    version: 2,
    title,
    date: new Date().toISOString(),
    commit,
    machine: { ...machine, adapter },
    threads,
    rooflines,
    ...results,
  }
}

/** The files of a model that writes; undefined where none was named and none lies beside the repository. */
function readModel(named: string | undefined): ModelFiles | undefined {
  const beside = fileURLToPath(new URL('../../../../shared/models/stories260k', import.meta.url))
  const folder = named === undefined ? beside : resolve(callerFolder(), named)
  const [checkpoint, tokenizer] = [join(folder, 'stories260K.bin'), join(folder, 'tok512.bin')]
  if (existsSync(checkpoint) && existsSync(tokenizer))
    return { checkpoint: readFileSync(checkpoint), tokenizer: readFileSync(tokenizer) }
  return named === undefined ? undefined : refuse(`--model ${named}: there are no stories260K.bin and tok512.bin`)
}

/** What the user can put right is said in one line. */
function refuse(message: string): never {
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

function hostOf(folder: string): URL {
  return pathToFileURL(resolve(callerFolder(), folder, 'dist', 'host-process.js'))
}

/** Prints each result as it comes, and on a terminal, below, what is running and how long it may still take. */
function liveTable(): (progress: Progress) => void {
  const status = process.stdout.isTTY ? createLogUpdate(process.stdout) : undefined
  const start = performance.now()
  let group = ''
  const titleOnce = (result: CaseReport): string => {
    const { title } = grouped([result])[0]!
    if (title === group) return ''
    group = title
    return `\n${colours.bold(colours.underline(title))}`
  }
  return (progress) => {
    status?.clear()
    if (progress.event === 'peer') console.log(peerLine(progress.peer))
    if (progress.event === 'result') console.log(`${titleOnce(progress.result)}\n${caseTable(progress.result)}`)
    if (progress.event === 'case') {
      const { number, of, bench } = progress
      const left = ((performance.now() - start) / Math.max(1, number - 1)) * (of - number + 1)
      const guess = number > 1 ? `, about ${Math.ceil(left / 60_000)} min left` : ''
      status?.(colours.dim(`${number} of ${of}: ${bench.id}${guess}`))
    }
  }
}

function write(report: BenchReport, path: string): void {
  const texts = { json: () => `${JSON.stringify(report, undefined, 1)}\n`, md: () => markdown(report), html: () => html(report) }
  const wanted = path.endsWith('.json') ? (['json'] as const) : (['json', 'md', 'html'] as const)
  const stem = path.endsWith('.json') ? path.slice(0, -'.json'.length) : path
  mkdirSync(dirname(path), { recursive: true })
  for (const format of wanted) writeFileSync(`${stem}.${format}`, texts[format]())
  console.log(`\nWritten: ${wanted.map((format) => `${stem}.${format}`).join(', ')}`)
}

function compare([before, after]: readonly string[]): void {
  if (before === undefined || after === undefined) return refuse('--compare takes two reports: --compare a.json b.json')
  console.log(describeChanges(compareReports(read(before), read(after))))
}

function judge(baseline: BenchReport, report: BenchReport): void {
  const changes = compareReports(baseline, report)
  console.log(`\nAgainst the baseline of ${baseline.date.slice(0, 10)}: ${describeChanges(changes)}`)
  if (fellBehind(changes)) process.exitCode = 1
}

function judgeBuilds(report: BenchReport): void {
  const slower = slowerThanOtherBuild(report)
  console.log(
    `\nAgainst the other build: ${slower.length === 0 ? 'slower nowhere beyond noise.' : `slower in ${slower.join(', ')}.`}`,
  )
  if (slower.length > 0) process.exitCode = 1
}

function read(path: string): BenchReport {
  return JSON.parse(readFileSync(resolve(callerFolder(), path), 'utf8')) as BenchReport
}

/** Where the command was given, which may not be where the package lies. */
function callerFolder(): string {
  return process.env['INIT_CWD'] ?? process.cwd()
}
