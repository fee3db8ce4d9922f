import { hasWindow, type AttentionCase } from '../cases/case.ts'
import { attentionVectors, swapHeadsAndLength } from '../cases/vectors.ts'
import { Unavailable, type Contestant, type Peer } from './peer.ts'

type Jax = typeof import('@jax-js/jax')

/** jax-js: its own `nn.dotProductAttention`, compiled by `jit`. */
export const jaxWasm: Peer = jax('wasm', 'cpu')
export const jaxWebGpu: Peer = jax('webgpu', 'gpu')

function jax(backend: 'wasm' | 'webgpu', device: Peer['device']): Peer {
  return {
    id: `jax-js/${backend}`,
    title: `jax-js (${backend})`,
    device,
    async load() {
      if (typeof Iterator === 'undefined') throw new Unavailable('needs iterator helpers: Node 22, or a browser of 2024')
      if (typeof navigator === 'undefined') throw new Unavailable('needs the global navigator: Node 21, or a browser')
      const jax = await import('@jax-js/jax')
      const devices = await jax.init()
      if (!devices.includes(backend)) throw new Unavailable(`no ${backend} device; there are ${devices.join(', ')}`)
      jax.defaultDevice(backend)
      return {
        version: '0.1',
        settings: `${backend} device`,
        async prepare(bench) {
          if (bench.kind === 'linear') throw new Unavailable('attention only')
          return contestant(jax, bench)
        },
      }
    },
  }
}

function contestant({ numpy, nn, jit }: Jax, bench: AttentionCase): Contestant {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, causal } = bench
  if (bench.gradient || bench.keyDtype !== 'float32') throw new Unavailable('not compared')
  if (bench.softcap !== undefined || bench.sinks || bench.documents || bench.alibi || hasWindow(bench)) {
    throw new Unavailable('its attention has no such option')
  }
  if (causal && queryLength !== keyLength && queryLength !== 1) throw new Unavailable('its causal mask starts at the first key')
  if (batch * queryHeads * queryLength * keyLength > 2 ** 28) throw new Unavailable('its score matrix is over 1 GiB')
  const vectors = attentionVectors(bench)
  const array = (values: Float32Array, heads: number, length: number, dim: number) =>
    numpy
      .array(swapHeadsAndLength(values, batch, heads, length, dim) as Float32Array<ArrayBuffer>)
      .reshape([batch, length, heads, dim])
  const query = array(vectors.query, queryHeads, queryLength, headDim)
  const key = array(vectors.key, keyHeads, keyLength, headDim)
  const value = array(vectors.value, keyHeads, keyLength, valueDim)
  const attend = jit((q: typeof query, k: typeof query, v: typeof query) =>
    nn.dotProductAttention(q, k, v, { isCausal: causal && queryLength > 1 }),
  )
  let output = new Float32Array()
  return {
    how: 'nn.dotProductAttention',
    async run() {
      output = (await attend(query.ref, key.ref, value.ref).data()) as Float32Array<ArrayBuffer>
    },
    result: async () => swapHeadsAndLength(output, batch, queryLength, queryHeads, valueDim),
    dispose() {
      for (const operand of [query, key, value]) operand.dispose()
    },
  }
}
