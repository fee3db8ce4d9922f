import { attention } from '@qkv/attention'
import { createBackend, type ChosenBackend, type CreateBackendOptions } from '@qkv/attention/auto'
import { tensor, type HostTensor } from '@qkv/core'
import { rotary } from '@qkv/positional'
import { expose } from 'comlink'
import { compared, selfCheck, type Operands } from './check.ts'
import type { AttendRequest, BackendChoice, BackendReport, Engine, SelfCheck } from './engine.ts'
import { longRun } from './long-run.ts'
import { modelSession } from './model-session.ts'
import { writtenScore } from './written-score.ts'

const optionsOf: Readonly<Record<BackendChoice, CreateBackendOptions>> = {
  fastest: {},
  webgpu: { prefer: 'webgpu', softwareGpu: true },
  cpu: { prefer: 'cpu' },
  javascript: { prefer: 'cpu', cpu: { engine: 'javascript' } },
}

let backend: Promise<ChosenBackend> = createBackend()
const { ended, moveTo, ...session } = modelSession(() => backend)

/** What is asked of the backend waits for what was asked before: it may be given back in between. */
let before: Promise<unknown> = Promise.resolve()
function inTurn<Result>(task: () => Promise<Result>): Promise<Result> {
  const result = before.then(task)
  before = result.catch(() => {})
  return result
}

async function reportOf(backend: ChosenBackend): Promise<BackendReport> {
  const { name, description, passedOver } = backend
  return {
    name,
    description,
    passedOver: passedOver.map(({ backend, reason }) => ({ name: backend, reason })),
    check: await selfCheck(backend),
  }
}

/** All that can fail comes before anything is given up: a backend that fails leaves the one before at work. */
async function use(choice: BackendChoice): Promise<BackendReport> {
  const next = await createBackend(optionsOf[choice])
  const report = await checkAndMove(next).catch((failure: unknown) => {
    next.dispose()
    throw failure
  })
  const last = await backend.catch(() => undefined)
  backend = Promise.resolve(next)
  last?.dispose()
  return report
}

async function checkAndMove(next: ChosenBackend): Promise<BackendReport> {
  await ended()
  const report = await reportOf(next)
  await moveTo(next)
  return report
}

async function attend(request: AttendRequest): Promise<Float32Array> {
  const position = request.rotary ? rotary({ dim: request.dim }) : undefined
  const { output } = await attention(...operandsOf(request), { backend: await backend, causal: request.causal, position })
  using attended = output
  return Float32Array.from(await (await backend).read(attended))
}

async function tryScore(request: AttendRequest, source: string): Promise<SelfCheck> {
  return compared(await backend, operandsOf(request), { causal: request.causal, score: writtenScore(source).mod })
}

function operandsOf({ query, key, value, heads, dim }: AttendRequest): Operands {
  const shape = [1, heads, query.length / (heads * dim), dim]
  return [query, key, value].map((values) => tensor(values, shape)) as [HostTensor, HostTensor, HostTensor]
}

const engine: Engine = {
  start: () => inTurn(async () => reportOf(await backend)),
  use: (choice) => inTurn(() => use(choice)),
  attend: (request) => inTurn(() => attend(request)),
  tryScore: (request, source) => inTurn(() => tryScore(request, source)),
  attendLong: (tokens, tell) => inTurn(() => longRun(tokens, tell)),
  ...session,
  takeFile: (name, bytes) => inTurn(() => session.takeFile(name, bytes)),
  measureHeads: () => inTurn(() => session.measureHeads()),
}

expose(engine)
