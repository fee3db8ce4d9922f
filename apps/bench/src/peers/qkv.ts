import {
  capture,
  documents as documentMask,
  problem,
  scoreMod,
  tensor,
  type AttentionProblem,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type ProblemOptions,
  type Tensor,
} from '@qkv/core'
import type { AttentionCase, BenchCase, LinearCase } from '../cases/case.ts'
import { attentionVectors, linearVectors } from '../cases/vectors.ts'
import { quantise } from './quantise.ts'
import type { Contestant, Peer } from './peer.ts'

export const qkvCpu: Peer = {
  id: 'qkv/cpu',
  title: 'QKV (CPU)',
  device: 'cpu',
  async load({ threads }) {
    const { createCpuBackend } = await import('@qkv/cpu')
    return loaded(await createCpuBackend({ threads }))
  },
}

export const qkvPortable: Peer = {
  id: 'qkv/javascript',
  title: 'QKV (portable JavaScript)',
  device: 'cpu',
  async load() {
    const { createCpuBackend } = await import('@qkv/cpu')
    return loaded(await createCpuBackend({ engine: 'javascript' }))
  },
}

/** On the adapter that `requestAdapter` finds: a browser's own, or Dawn's in Node. */
export function qkvWebGpu(requestAdapter: () => Promise<GPUAdapter>): Peer {
  return {
    id: 'qkv/webgpu',
    title: 'QKV (WebGPU)',
    device: 'gpu',
    async load() {
      const { createWebGpuBackend } = await import('@qkv/webgpu')
      return loaded(await createWebGpuBackend({ adapter: await requestAdapter() }))
    },
  }
}

async function loaded(backend: Backend) {
  return {
    version: 'this build',
    settings: backend.description,
    prepare: async (bench: BenchCase): Promise<Contestant> => {
      if (bench.kind === 'linear') return linear(backend, bench)
      return bench.gradient ? gradient(backend, bench) : forward(backend, bench)
    },
  }
}

/** Tensors live on the backend, as a model's would; every run says anew what it asks and ends with its output read back. */
function forward(backend: Backend, bench: AttentionCase): Contestant {
  const { ask, dispose } = placed(backend, bench)
  let output = new Float32Array()
  return {
    how: 'attention',
    async run() {
      const result = backend.attention(ask())
      output = (await backend.read(result.output)) as Float32Array<ArrayBuffer>
      result.output.dispose()
    },
    // A backend may answer with a view of its memory, which the next run may use again.
    result: async () => output.slice(),
    dispose,
  }
}

function gradient(backend: Backend, bench: AttentionCase): Contestant {
  const { ask, dispose } = placed(backend, bench)
  const asked = ask()
  const { batch, queryHeads, queryLength, valueDim } = bench
  const dOutput = backend.upload(tensor(attentionVectors(bench).dOutput ?? [], [batch, queryHeads, queryLength, valueDim]))
  const forward = backend.attention(asked, { lse: true })
  const results: Float32Array[] = []
  return {
    how: 'the backward pass alone',
    async run() {
      const { dQuery, dKey, dValue } = backend.attentionGradient(
        asked,
        { output: forward.output, lse: forward.lse ?? forward.output },
        dOutput,
      )
      results.length = 0
      for (const part of [dQuery, dKey, dValue]) {
        results.push((await backend.read(part)).slice() as Float32Array)
        part.dispose()
      }
    },
    async result() {
      const joined = new Float32Array(results.reduce((count, part) => count + part.length, 0))
      let at = 0
      for (const part of results) {
        joined.set(part, at)
        at += part.length
      }
      return joined
    },
    dispose() {
      forward.output.dispose()
      forward.lse?.dispose()
      dOutput.dispose()
      dispose()
    },
  }
}

function linear(backend: Backend, bench: LinearCase): Contestant {
  const { rows, inputs, outputs } = bench
  const vectors = linearVectors(bench)
  const input = backend.upload(tensor(vectors.input, [rows, inputs]))
  const weight = backend.upload(tensor(vectors.weight, [outputs, inputs]))
  let output = new Float32Array()
  return {
    how: 'linear',
    async run() {
      const result = backend.linear(input, weight)
      output = (await backend.read(result)) as Float32Array<ArrayBuffer>
      result.dispose()
    },
    result: async () => output.slice(),
    dispose() {
      input.dispose()
      weight.dispose()
    },
  }
}

function placed(backend: Backend, bench: AttentionCase): { ask: () => AttentionProblem; dispose: () => void } {
  const owned: OwnedTensor[] = []
  const onBackend = (host: HostTensor): Tensor => {
    const copy = backend.upload(host)
    owned.push(copy)
    return copy
  }
  const operands = operandsOf(bench, onBackend)
  return { ask: () => problem(...operands), dispose: () => owned.forEach((copy) => copy.dispose()) }
}

/** A case as a problem over typed arrays. */
export function problemOf(bench: AttentionCase): AttentionProblem {
  return problem(...operandsOf(bench, (host) => host))
}

/** What `problem()` takes, the big tensors wherever `place` puts them. */
function operandsOf(bench: AttentionCase, place: (host: HostTensor) => Tensor): Parameters<typeof problem> {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, keyDtype } = bench
  const vectors = attentionVectors(bench)
  const query = tensor(vectors.query, [batch, queryHeads, queryLength, headDim])
  const key = quantise(vectors.key, [batch, keyHeads, keyLength, headDim], keyDtype)
  const value = quantise(vectors.value, [batch, keyHeads, keyLength, valueDim], keyDtype)
  const options = {
    ...optionsOf(bench, vectors.sinks),
    keyScales: key.scales && place(key.scales),
    valueScales: value.scales && place(value.scales),
  }
  return [place(query), place(key.stored), place(value.stored), options]
}

function optionsOf(bench: AttentionCase, sinks: Float32Array | undefined): ProblemOptions {
  const { causal, windowLeft, softcap, documents, alibi, queryHeads } = bench
  return {
    causal,
    window: windowLeft === undefined ? undefined : { left: windowLeft },
    softcap,
    sinks: sinks && tensor(sinks, [queryHeads]),
    mask: documents && documentMask(documentNumbers(documents)),
    score: alibi ? alibiScore(queryHeads) : undefined,
  }
}

function documentNumbers(documents: readonly number[]): HostTensor {
  const numbers = documents.flatMap((length, number) => Array.from({ length }, () => number))
  return tensor(Int32Array.from(numbers), [numbers.length])
}

/** Press et al. 2022: 2^(−8h/heads) times the distance. */
function alibiScore(heads: number) {
  const slopes = capture(
    tensor(
      Float32Array.from({ length: heads }, (_, head) => 2 ** ((-8 * (head + 1)) / heads)),
      [heads],
    ),
  )
  return scoreMod((score, { head, query, key }) => score.add(slopes.at(head).mul(key.sub(query).toFloat())))
}
