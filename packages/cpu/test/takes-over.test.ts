import {
  broadcastTo,
  problem,
  roundTo,
  slice,
  splitHeads,
  tensor,
  type Backend,
  type FloatDtype,
  type OwnedTensor,
  type ProblemOptions,
} from '@qkv/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { backendOf } from '../src/backend.ts'
import type { Engine } from '../src/engine.ts'
import { openWasmEngine } from '../src/wasm/open.ts'
import { distances, slopes } from './learned-scores.ts'

/** Whatever the engine declines, portable kernels do, many times slower: no result tells. */
describe.each<FloatDtype>(['float32', 'float16', 'bfloat16'])(
  'of what a model asks in %s, in use and in training, WebAssembly declines nothing:',
  (dtype) => {
    const declined: string[] = []
    let backend: Backend
    beforeAll(async () => {
      const opened = await openWasmEngine({ threads: 1 })
      backend = backendOf({ ...opened, engine: noting(opened.engine, declined) })
    })
    afterAll(() => backend.dispose())

    const some = (...shape: number[]): OwnedTensor => {
      const count = shape.reduce((product, size) => product * size, 1)
      const numbers = Array.from({ length: count }, (_, index) => Math.sin(index))
      return backend.upload(tensor(roundTo(numbers, dtype), shape, { dtype }))
    }
    const byHeads = () => splitHeads(some(1, 3, 64), 4)
    const table = (): Parameters<Backend['rotate']>[1] => {
      const angles = tensor(new Float32Array(24).fill(0.5), [3, 8])
      return { cos: angles, sin: angles, layout: 'half', dim: 16 }
    }
    const gradient = (options: ProblemOptions) => {
      const asked = problem(byHeads(), byHeads(), byHeads(), { causal: true, ...options })
      const { output, lse } = backend.attention(asked, { lse: true })
      return backend.attentionGradient(asked, { output, lse: lse! }, some(1, 4, 3, 16))
    }
    const learned = (...shape: number[]) =>
      tensor(roundTo(new Float64Array(shape.reduce((a, b) => a * b)), dtype), shape, { dtype })
    const partial = () => ({ output: some(1, 2, 3, 16), lse: backend.empty([1, 2, 3]) })

    test.each<[string, () => unknown]>([
      ['attention', () => backend.attention(problem(byHeads(), byHeads(), byHeads(), { causal: true }))],
      ['attention of one row', () => backend.attention(problem(slice(byHeads(), 2, 2, 3), byHeads(), byHeads(), { causal: true }))],
      ['gradient', () => gradient({ softcap: 5, sinks: tensor(new Float32Array(4), [4]), dropout: { probability: 0.5, seed: 1 } })],
      ['gradient of a bias', () => gradient({ bias: some(1, 4, 3, 3) })],
      ['gradient of a bias that repeats', () => gradient({ bias: broadcastTo(learned(4, 1, 3), [1, 4, 3, 3]), softcap: 5 })],
      ['gradient of learned slopes', () => gradient({ score: slopes(learned(4)) })],
      ['gradient of a table of distances', () => gradient({ score: distances(learned(4, 5)), bias: some(1, 1, 3, 3) })],
      ['linear', () => backend.linear(some(1, 3, 64), some(70, 64), some(70))],
      ['rmsNorm', () => backend.rmsNorm(some(1, 3, 64), some(64), 1e-5)],
      ['layerNorm', () => backend.layerNorm(some(1, 3, 64), some(64), some(64), 1e-5)],
      ['silu', () => backend.activate(some(1, 3, 64), 'silu')],
      ['relu', () => backend.activate(some(1, 3, 64), 'relu')],
      ['gelu', () => backend.activate(some(1, 3, 64), 'gelu')],
      ['gelu-tanh', () => backend.activate(some(1, 3, 64), 'gelu-tanh')],
      ['add', () => backend.add(some(1, 3, 64), some(1, 3, 64))],
      ['adding to every row', () => backend.add(some(1, 3, 64), some(64))],
      ['multiply', () => backend.multiply(some(1, 3, 64), some(1, 3, 64))],
      ['gather', () => backend.gather(some(9, 64), tensor(Int32Array.of(1, 8, 0), [1, 3]))],
      ['rotate', () => backend.rotate(byHeads(), table())],
      ['append to a cache', () => backend.copy(byHeads(), slice(some(1, 4, 9, 16), 2, 4, 7))],
      ['append to a cache of halves', () => backend.copy(byHeads(), slice(backend.empty([1, 4, 9, 16], 'float16'), 2, 4, 7))],
      ['quantize', () => backend.quantize(byHeads(), backend.empty([1, 4, 3, 16], 'int8'), backend.empty([1, 4, 3, 2]))],
      ['merge', () => backend.merge([partial(), partial()])],
    ])('%s', (_, ask) => {
      declined.length = 0
      ask()
      expect(declined).toEqual([])
    })
  },
)

/** The engine, which notes the names of what it leaves to others. */
function noting(engine: Engine, declined: string[]): Engine {
  return new Proxy(engine, {
    get(target, name: keyof Engine) {
      const operation = target[name]
      if (operation === undefined) declined.push(name)
      if (typeof operation !== 'function') return operation
      return (...given: never[]) => {
        const answer = Reflect.apply(operation, target, given)
        if (answer === false || answer === undefined) declined.push(name)
        return answer
      }
    },
  })
}
