import installed from '../../node_modules/@jax-js/jax/package.json'
import { hasWindow, type AttentionCase } from '../cases/case.ts'
import { attentionVectors, swapHeadsAndLength } from '../cases/vectors.ts'
import { inThreads, requirePageGpu, Unavailable, type Contestant, type Peer } from './peer.ts'

type Jax = typeof import('@jax-js/jax')
type JaxArray = ReturnType<Jax['numpy']['array']>

/** jax-js: its own `nn.dotProductAttention`, compiled by `jit`. */
export const jaxWasm: Peer = jax('wasm', 'cpu')
export const jaxWebGpu: Peer = jax('webgpu', 'gpu')

function jax(backend: 'wasm' | 'webgpu', device: Peer['device']): Peer {
  return {
    id: `jax-js/${backend}`,
    title: `jax-js (${backend})`,
    device,
    async load({ threads }) {
      if (backend === 'webgpu') requirePageGpu()
      if (typeof Iterator === 'undefined') throw new Unavailable('needs iterator helpers: Node 22, or a browser of 2024')
      if (typeof navigator === 'undefined') throw new Unavailable('needs the global navigator: Node 21, or a browser')
      // It takes a thread for each core that it is told of, where there are web workers, as Node has none of.
      Object.defineProperty(navigator, 'hardwareConcurrency', { value: threads, configurable: true })
      const jax = await import('@jax-js/jax')
      const devices = await jax.init()
      if (!devices.includes(backend)) throw new Unavailable(`no ${backend} device; there are ${devices.join(', ')}`)
      jax.defaultDevice(backend)
      return {
        version: installed.version,
        settings: backend === 'wasm' ? `wasm device, ${inThreads(typeof Worker === 'undefined' ? 1 : threads)}` : 'webgpu device',
        async prepare(bench) {
          if (bench.kind !== 'attention') throw new Unavailable('attention only')
          refuse(bench)
          return bench.gradient ? training(jax, bench) : attention(jax, bench)
        },
      }
    },
  }
}

function refuse(bench: AttentionCase): void {
  const { batch, queryHeads, queryLength, keyLength, causal } = bench
  if (bench.gradient === 'alone') throw new Unavailable('its gradients come with the forward pass: see training')
  if (bench.keyDtype !== 'float32') throw new Unavailable('float32 only')
  if (bench.softcap !== undefined || bench.sinks || bench.documents || bench.alibi || bench.rotary) {
    throw new Unavailable('its attention has no such option')
  }
  if (hasWindow(bench) && queryLength !== keyLength) throw new Unavailable('its window starts at the first key')
  if (causal && queryLength !== keyLength && queryLength !== 1) throw new Unavailable('its causal mask starts at the first key')
  if (batch * queryHeads * queryLength * keyLength > 2 ** 28) throw new Unavailable('its score matrix is over 1 GiB')
}

function attention(jax: Jax, bench: AttentionCase): Contestant {
  const { batch, queryHeads, queryLength, valueDim } = bench
  const { query, key, value, bias, dispose } = placed(jax, bench)
  const attend = jax.jit(attendWith(jax, bench))
  let output = new Float32Array()
  return {
    how: 'nn.dotProductAttention',
    async run() {
      const result = bias === undefined ? attend(query.ref, key.ref, value.ref) : attend(query.ref, key.ref, value.ref, bias.ref)
      output = (await result.data()) as Float32Array<ArrayBuffer>
    },
    result: async () => swapHeadsAndLength(output, batch, queryLength, queryHeads, valueDim),
    dispose,
  }
}

/** Gradients of Σ dOutput · output. */
function training(jax: Jax, bench: AttentionCase): Contestant {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  const { query, key, value, dispose } = placed(jax, bench)
  const dOutput = arrayOf(jax, bench, attentionVectors(bench).dOutput!, queryHeads, queryLength, valueDim)
  const attend = attendWith(jax, bench)
  const weighed = (q: JaxArray, k: JaxArray, v: JaxArray, dO: JaxArray): JaxArray =>
    jax.numpy.sum(jax.numpy.multiply(attend(q, k, v), dO))
  const differentiate = jax.jit(jax.grad(weighed, { argnums: [0, 1, 2] }))
  let gradients: Float32Array[] = []
  return {
    how: 'grad of nn.dotProductAttention',
    async run() {
      const results = differentiate(query.ref, key.ref, value.ref, dOutput.ref) as JaxArray[]
      gradients = (await Promise.all(results.map((part) => part.data()))) as Float32Array[]
    },
    async result() {
      const [dQuery, dKey, dValue] = gradients as [Float32Array, Float32Array, Float32Array]
      return Float32Array.from([
        ...swapHeadsAndLength(dQuery, batch, queryLength, queryHeads, headDim),
        ...swapHeadsAndLength(dKey, batch, keyLength, keyHeads, headDim),
        ...swapHeadsAndLength(dValue, batch, keyLength, keyHeads, valueDim),
      ])
    },
    dispose() {
      dispose()
      dOutput.dispose()
    },
  }
}

function attendWith({ nn }: Jax, bench: AttentionCase) {
  const options = {
    isCausal: bench.causal && bench.queryLength > 1,
    ...(hasWindow(bench) && { localWindowSize: [bench.windowLeft!, 0] as [number, number] }),
  }
  return (q: JaxArray, k: JaxArray, v: JaxArray, bias?: JaxArray): JaxArray =>
    nn.dotProductAttention(q, k, v, bias === undefined ? options : { ...options, bias })
}

interface Placed {
  readonly query: JaxArray
  readonly key: JaxArray
  readonly value: JaxArray
  readonly bias: JaxArray | undefined
  readonly dispose: () => void
}

function placed(jax: Jax, bench: AttentionCase): Placed {
  const { queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim } = bench
  const vectors = attentionVectors(bench)
  const query = arrayOf(jax, bench, vectors.query, queryHeads, queryLength, headDim)
  const key = arrayOf(jax, bench, vectors.key, keyHeads, keyLength, headDim)
  const value = arrayOf(jax, bench, vectors.value, keyHeads, keyLength, valueDim)
  const bias =
    vectors.bias && jax.numpy.array(vectors.bias as Float32Array<ArrayBuffer>).reshape([1, queryHeads, queryLength, keyLength])
  return {
    query,
    key,
    value,
    bias,
    dispose: () => [query, key, value, ...(bias ? [bias] : [])].forEach((array) => array.dispose()),
  }
}

/** [batch, heads, length, dim] as jax has it, [batch, length, heads, dim]. */
function arrayOf(
  { numpy }: Jax,
  { batch }: AttentionCase,
  values: Float32Array,
  heads: number,
  length: number,
  dim: number,
): JaxArray {
  const swapped = swapHeadsAndLength(values, batch, heads, length, dim) as Float32Array<ArrayBuffer>
  return numpy.array(swapped).reshape([batch, length, heads, dim])
}
