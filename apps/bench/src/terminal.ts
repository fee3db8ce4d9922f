import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineCommand, runMain } from 'citty'
import { createLogUpdate } from 'log-update'
import colours from 'picocolors'
import { currentCommit } from '../../../tooling/commit.ts'
import { selectCases } from './cases/index.ts'
import { startProcess } from './host/process.ts'
import { restBeside } from './measure/interleave.ts'
import { describeMachine } from './measure/machine.ts'
import { measureClock, measureRooflines } from './measure/rooflines.ts'
import { callerFolder, choicesOf, commandOptions, readModel, refuse, type Choices } from './options.ts'
import type { Field } from './peers/field.ts'
import { nodeFields } from './peers/node.ts'
import { isOtherBuild, otherBuildOf } from './peers/other-build.ts'
import { describeDifferences, differencesBetween } from './report/circumstances.ts'
import { compareReports, describeChanges } from './report/compare.ts'
import { grouped } from './report/groups.ts'
import { html } from './report/html.ts'
import { markdown } from './report/markdown.ts'
import {
  describeRegressions,
  passes,
  regressionsAgainstOtherBuild,
  regressionsSince,
  type Regressions,
} from './report/regressions.ts'
import type { BenchReport, CaseReport } from './report/report.ts'
import { caseTable, closing, peerLine } from './report/terminal.ts'
import { runCases, type Progress } from './runner.ts'

/** Left out of a quick run unless asked for: some take seconds a call. */
const aside = new Set(['tensorflow.js/cpu', 'qkv/javascript', 'qkv/one-thread', 'plain-loop'])

/** What a quick run plans to take; starting and ending come on top. */
const quickMinutes = 1.5

const command = defineCommand({
  meta: { name: 'bench', description: 'How fast exact attention runs here, and against what one would pick instead' },
  args: commandOptions,
  async run({ args }) {
    if (args.compare) return compare(args._)
    const choices = choicesOf(args)
    const baseline = args.baseline === undefined ? undefined : read(args.baseline)
    const report = await measure(choices)
    console.log(closing(report))
    if (args.out !== undefined) write(report, resolve(callerFolder(), args.out))
    if (baseline !== undefined) {
      judge(`the baseline of ${baseline.date.slice(0, 10)}`, regressionsSince(baseline, report))
      console.log(describeDifferences(differencesBetween(baseline, report)))
    }
    if (choices.against !== undefined) judge('the other build', regressionsAgainstOtherBuild(report))
  },
})

await runMain(command)
process.exit()

async function measure(choices: Choices): Promise<BenchReport> {
  const { filter, quick, against, title, threads, rounds, minutes = quick ? quickMinutes : undefined } = choices
  const cases = selectCases({ filter, quick })
  if (cases.length === 0) refuse(`--filter ${filter}: no case${quick ? ' of the quick ones' : ''} has this in its name`)
  const model = readModel(choices.model)
  const machine = describeMachine()
  const commit = currentCommit(fileURLToPath(new URL('.', import.meta.url)))
  const before = await measureClock(() => startProcess())
  const rooflines = await measureRooflines(() => startProcess(), threads)
  const results = await runCases({
    fields: fieldsOf(choices),
    cases,
    threads,
    model,
    plan: {
      rounds: rounds ?? (quick ? 7 : 9),
      warmMilliseconds: 200,
      restMilliseconds: restBeside(threads),
      sampleMilliseconds: quick ? 10 : 20,
      budgetMilliseconds: 8000,
      patienceMilliseconds: 1000 * choices.patience,
    },
    budgetMilliseconds: minutes === undefined ? undefined : 60_000 * minutes,
    startHost: ({ id }) => (isOtherBuild(id) && against !== undefined ? startProcess(against) : startProcess()),
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
    clock: { before, after: await measureClock(() => startProcess()) },
    ...results,
  }
}

function fieldsOf({ device, peers, quick, against }: Choices): readonly Field[] {
  return [nodeFields.cpu, nodeFields.gpu]
    .filter(({ subject }) => device === 'both' || subject.device === device)
    .map(({ subject, peers: all }) => {
      const named = all.filter(({ id }) => peers.split(',').some((name) => id.includes(name)))
      const chosen = quick && peers === '' ? named.filter(({ id }) => !aside.has(id)) : named
      return { subject, peers: against === undefined ? chosen : [otherBuildOf(subject), ...chosen] }
    })
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

function compare([first, second]: readonly string[]): void {
  if (first === undefined || second === undefined) return refuse('--compare takes two reports: --compare a.json b.json')
  const [before, after] = [read(first), read(second)]
  console.log(describeDifferences(differencesBetween(before, after)))
  console.log(describeChanges(compareReports(before, after)))
}

/** For scripts: the exit code is 1 unless the check passes. */
function judge(against: string, regressions: Regressions): void {
  console.log(`\nAgainst ${against}: ${describeRegressions(regressions)}`)
  if (!passes(regressions)) process.exitCode = 1
}

function read(path: string): BenchReport {
  const file = resolve(callerFolder(), path)
  if (!existsSync(file)) return refuse(`${path}: there is no such file`)
  const report = parsed(readFileSync(file, 'utf8'))
  return report?.version === 2 ? report : refuse(`${path}: no report of this bench`)
}

function parsed(text: string): BenchReport | undefined {
  try {
    return JSON.parse(text) as BenchReport
  } catch {
    return undefined
  }
}
