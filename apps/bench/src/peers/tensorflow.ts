import type * as Tensorflow from '@tensorflow/tfjs-core'
import { hasWindow, type AttentionCase, type BenchCase } from '../cases/case.ts'
import { attentionVectors, linearVectors, repeatHeads } from '../cases/vectors.ts'
import { inThreads, requirePageGpu, Unavailable, type Contestant, type Peer } from './peer.ts'

type TensorflowBackend = 'wasm' | 'cpu' | 'webgpu'

/** Where a page finds the wasm backend's binaries, by their names; Node finds them by itself. */
export type BinaryUrls = Readonly<
  Record<'tfjs-backend-wasm.wasm' | 'tfjs-backend-wasm-simd.wasm' | 'tfjs-backend-wasm-threaded-simd.wasm', string>
>

/** TensorFlow.js: attention as matrix product, softmax, matrix product, for it has no operator of that name. */
export const tensorflowWasm = (urls?: BinaryUrls): Peer => tensorflow('wasm', 'cpu', 'TensorFlow.js (wasm)', urls)
export const tensorflowCpu: Peer = tensorflow('cpu', 'cpu', 'TensorFlow.js (plain JavaScript)')
export const tensorflowWebGpu: Peer = tensorflow('webgpu', 'gpu', 'TensorFlow.js (WebGPU)')

function tensorflow(backend: TensorflowBackend, device: Peer['device'], title: string, urls?: BinaryUrls): Peer {
  return {
    id: `tensorflow.js/${backend}`,
    title,
    device,
    async load({ threads }) {
      if (backend === 'webgpu') requirePageGpu()
      const tf = await import('@tensorflow/tfjs-core')
      await import('@tensorflow/tfjs-core/dist/register_all_gradients')
      await load(backend, threads, urls)
      // Its threads start from their own source text, whose names a bundler has changed: in pages it gets one.
      if (urls !== undefined) tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false)
      if (!(await tf.setBackend(backend))) throw new Unavailable(`the ${backend} backend did not start`)
      await tf.ready()
      return {
        version: tf.version_core,
        settings: backend === 'wasm' ? `wasm backend, ${inThreads(urls === undefined ? threads : 1)}` : `${backend} backend`,
        prepare: async (bench) => contestant(tf, bench),
      }
    },
  }
}

async function load(backend: TensorflowBackend, threads: number, urls: BinaryUrls | undefined): Promise<void> {
  if (backend === 'cpu') await import('@tensorflow/tfjs-backend-cpu')
  if (backend === 'webgpu') await import('@tensorflow/tfjs-backend-webgpu')
  if (backend === 'wasm') {
    const wasm = await import('@tensorflow/tfjs-backend-wasm')
    if (urls !== undefined) wasm.setWasmPaths(urls)
    wasm.setThreadsCount(threads)
  }
}

function contestant(tf: typeof Tensorflow, bench: BenchCase): Contestant {
  switch (bench.kind) {
    case 'linear':
      return linear(tf, bench)
    case 'attention':
      return bench.gradient ? training(tf, bench) : attention(tf, bench)
    case 'sequence':
      throw new Unavailable('its LSTM is a loop of small operators')
    case 'writing':
      throw new Unavailable('has no decoder to write with')
  }
}

/** Scores, softmax and values as three operators; a causal mask is an N×N tensor made beforehand. */
function attention(tf: typeof Tensorflow, bench: AttentionCase): Contestant {
  const { operands, attend, dispose } = placed(tf, bench)
  let output = new Float32Array()
  return {
    how: 'matMul, softmax, matMul',
    async run() {
      const result = tf.tidy(() => attend(...operands))
      output = (await result.data()) as Float32Array<ArrayBuffer>
      result.dispose()
    },
    result: async () => output,
    dispose,
  }
}

/** Its gradients by tape, which takes the forward pass along. */
function training(tf: typeof Tensorflow, bench: AttentionCase): Contestant {
  if (bench.gradient === 'alone') throw new Unavailable('its gradients come with the forward pass: see training')
  const { operands, attend, dispose } = placed(tf, bench)
  const { batch, queryHeads, queryLength, valueDim } = bench
  const dOutput = tf.tensor4d(attentionVectors(bench).dOutput!, [batch, queryHeads, queryLength, valueDim])
  const differentiate = tf.grads((query, key, value) => attend(query!, key!, value!))
  let gradients: Float32Array[] = []
  return {
    how: 'grads of matMul, softmax, matMul',
    async run() {
      const results = tf.tidy(() => differentiate([...operands], dOutput))
      gradients = (await Promise.all(results.map((part) => part.data()))) as Float32Array[]
      tf.dispose(results)
    },
    result: async () => Float32Array.from(gradients.flatMap((part) => [...part])),
    dispose() {
      dispose()
      dOutput.dispose()
    },
  }
}

interface Placed {
  readonly operands: readonly [Tensorflow.Tensor, Tensorflow.Tensor, Tensorflow.Tensor]
  readonly attend: (query: Tensorflow.Tensor, key: Tensorflow.Tensor, value: Tensorflow.Tensor) => Tensorflow.Tensor
  readonly dispose: () => void
}

function placed(tf: typeof Tensorflow, bench: AttentionCase): Placed {
  const { batch, queryHeads, queryLength, keyLength, headDim, valueDim, causal } = bench
  refuse(bench)
  const vectors = attentionVectors(bench)
  const query = tf.tensor4d(vectors.query, [batch, queryHeads, queryLength, headDim])
  const key = tf.tensor4d(repeatHeads(vectors.key, bench, headDim), [batch, queryHeads, keyLength, headDim])
  const value = tf.tensor4d(repeatHeads(vectors.value, bench, valueDim), [batch, queryHeads, keyLength, valueDim])
  const added = [
    ...(causal && queryLength > 1 ? [tf.tidy(() => causalMask(tf, queryLength, keyLength))] : []),
    ...(vectors.bias ? [tf.tensor4d(vectors.bias, [1, queryHeads, queryLength, keyLength])] : []),
  ]
  return {
    operands: [query, key, value],
    attend(q, k, v) {
      const scores: Tensorflow.Tensor = tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(headDim))
      return tf.matMul(tf.softmax(added.reduce((sum, term) => tf.add(sum, term), scores)), v)
    },
    dispose: () => tf.dispose([query, key, value, ...added]),
  }
}

function refuse(bench: AttentionCase): void {
  const { batch, queryHeads, queryLength, keyLength } = bench
  if (bench.keyDtype !== 'float32') throw new Unavailable('float32 only')
  if (bench.softcap !== undefined || bench.sinks || bench.documents || bench.alibi || hasWindow(bench)) {
    throw new Unavailable('would need an N×N tensor a head')
  }
  if (bench.rotary) throw new Unavailable('has no rotary operator')
  if (batch * queryHeads * queryLength * keyLength > 2 ** 28) throw new Unavailable('its score matrix is over 1 GiB')
}

function causalMask(tf: typeof Tensorflow, queryLength: number, keyLength: number): Tensorflow.Tensor {
  const hidden = new Float32Array(queryLength * keyLength)
  for (let i = 0; i < queryLength; i++) hidden.fill(-1e9, i * keyLength + keyLength - queryLength + i + 1, (i + 1) * keyLength)
  return tf.tensor2d(hidden, [queryLength, keyLength])
}

function linear(tf: typeof Tensorflow, bench: Extract<BenchCase, { kind: 'linear' }>): Contestant {
  const { input, weight } = linearVectors(bench)
  const x = tf.tensor2d(input, [bench.rows, bench.inputs])
  const w = tf.tensor2d(weight, [bench.outputs, bench.inputs])
  let output = new Float32Array()
  return {
    how: 'matMul',
    async run() {
      const result = tf.matMul(x, w, false, true)
      output = (await result.data()) as Float32Array<ArrayBuffer>
      result.dispose()
    },
    result: async () => output,
    dispose: () => tf.dispose([x, w]),
  }
}
