import {
  problem,
  tensor,
  type AttentionProblem,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type RotaryTable,
  type Tensor,
} from '@qkv/core'
import { rotary } from '@qkv/positional'
import type { AttentionCase } from '../../cases/case.ts'
import { operandsOf } from '../../cases/problem.ts'
import { attentionVectors } from '../../cases/vectors.ts'
import type { Contestant } from '../peer.ts'

/** Tensors live on the backend, as a model's would; every run says anew what it asks and ends with its output read back. */
export function attends(backend: Backend, bench: AttentionCase): Contestant {
  const { ask, dispose } = placed(backend, bench)
  let output = new Float32Array()
  return {
    how: bench.rotary ? 'rotary, attention' : 'attention',
    async run() {
      using asked = ask()
      const result = backend.attention(asked.problem)
      output = (await backend.read(result.output)) as Float32Array<ArrayBuffer>
      result.output.dispose()
    },
    // A backend may answer with a view of its memory, which the next run may use again.
    result: async () => output.slice(),
    dispose,
  }
}

/** The backward pass, by itself or after its forward pass, which also keeps the log-sum-exps. */
export function attendsBackward(backend: Backend, bench: AttentionCase): Contestant {
  const { ask, dispose } = placed(backend, bench)
  const { problem: asked } = ask()
  const { batch, queryHeads, queryLength, valueDim } = bench
  const dOutput = backend.upload(tensor(attentionVectors(bench).dOutput ?? [], [batch, queryHeads, queryLength, valueDim]))
  const goForward = (): { output: OwnedTensor; lse: OwnedTensor } => {
    const { output, lse } = backend.attention(asked, { lse: true })
    return { output, lse: lse! }
  }
  const kept = bench.gradient === 'alone' ? goForward() : undefined
  const gradients: Float32Array[] = []
  return {
    how: kept ? 'the backward pass alone' : 'forward and backward',
    async run() {
      const forward = kept ?? goForward()
      const { dQuery, dKey, dValue } = backend.attentionGradient(asked, forward, dOutput)
      gradients.length = 0
      for (const part of [dQuery, dKey, dValue]) {
        gradients.push((await backend.read(part)).slice() as Float32Array)
        part.dispose()
      }
      if (!kept) give(forward)
    },
    result: async () => Float32Array.from(gradients.flatMap((part) => [...part])),
    dispose() {
      if (kept) give(kept)
      dOutput.dispose()
      dispose()
    },
  }
}

function give({ output, lse }: { output: OwnedTensor; lse: OwnedTensor }): void {
  output.dispose()
  lse.dispose()
}

/** The case's tensors on the backend. What is asked of them is said anew each time, rotation included. */
function placed(
  backend: Backend,
  bench: AttentionCase,
): { ask: () => Disposable & { problem: AttentionProblem }; dispose: () => void } {
  const owned: OwnedTensor[] = []
  const onBackend = (host: HostTensor): Tensor => {
    const copy = backend.upload(host)
    owned.push(copy)
    return copy
  }
  const [query, key, value, options] = operandsOf(bench, onBackend)
  const tables = bench.rotary ? rotaryTables(bench, onBackend) : undefined
  return {
    ask() {
      if (!tables) return { problem: problem(query, key, value, options), [Symbol.dispose]() {} }
      const turned = [backend.rotate(query, tables.query), backend.rotate(key, tables.key)] as const
      return {
        problem: problem(...turned, value, options),
        [Symbol.dispose]: () => turned.forEach((copy) => copy.dispose()),
      }
    },
    dispose: () => owned.forEach((copy) => copy.dispose()),
  }
}

function rotaryTables(
  { headDim, queryLength, keyLength }: AttentionCase,
  place: (host: HostTensor) => Tensor,
): { query: RotaryTable; key: RotaryTable } {
  const encoding = rotary({ dim: headDim })
  const placedTable = (start: number, length: number): RotaryTable => {
    const { cos, sin, ...rest } = encoding.table({ start, length })
    return { cos: place(cos as HostTensor), sin: place(sin as HostTensor), ...rest }
  }
  return { query: placedTable(keyLength - queryLength, queryLength), key: placedTable(0, keyLength) }
}
