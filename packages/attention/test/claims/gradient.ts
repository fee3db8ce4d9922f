import {
  composeScores,
  problem,
  reference,
  scoreMod,
  tensor,
  toFloat64,
  type HostTensor,
  type ProblemOptions,
  type ScoreMod,
} from '@qkv/core'
import { attentionWithGradient, type AttentionOptions } from '@qkv/attention'
import { kerple, mixedRotary, rotary, t5Bias, temperature, type ScoreEncoding } from '@qkv/positional'
import { cope, disentangled, relativeKeyQuery, shaw, transformerXl } from '@qkv/positional/content'
import { expect, it } from 'vitest'
import { expectSlopes } from './slopes.ts'
import { dot, normal, tensorsHeld, valuesOf, type Subject } from './subject.ts'

/** What holds for `attentionWithGradient()` on any backend. */
export function gradientClaims(subject: () => Subject): void {
  const q = normal('gradient q', [1, 4, 5, 8])
  const k = normal('gradient k', [1, 2, 7, 8])
  const v = normal('gradient v', [1, 2, 7, 6])
  const dOutput = normal('gradient of output', [1, 4, 5, 6])

  const plain: Record<string, ProblemOptions> = {
    'nothing else': {},
    'causality and a window': { causal: true, window: { left: 3 } },
    'softcap, scale, sinks and a bias': { softcap: 2, scale: 0.4, sinks: [0.1, 0.2, -1, 1], bias: normal('bias', [5, 7]) },
    'a score change': { score: scoreMod((score, { query, key }) => score.add(query.sub(key).toFloat().mul(0.1))) },
  }

  it.each(Object.entries(plain))('with %s: gradients are those of the reference, by central differences', async (_, options) => {
    const { backend } = subject()
    using result = await attentionWithGradient(q, k, v, { ...options, backend })
    const { dq, dk, dv, dBias, dSinks } = await result.backward(dOutput)
    const loss = (query: HostTensor, key: HostTensor, value: HostTensor): number => lossOf(query, key, options, value, dOutput)
    await expectSlopes(subject(), dq, q, (moved) => loss(moved, k, v))
    await expectSlopes(subject(), dk, k, (moved) => loss(q, moved, v))
    await expectSlopes(subject(), dv, v, (moved) => loss(q, k, moved))
    const { bias, sinks } = options
    if (bias && dBias)
      await expectSlopes(subject(), dBias, bias as HostTensor, (moved) => lossOf(q, k, { ...options, bias: moved }, v, dOutput))
    if (sinks && dSinks)
      await expectSlopes(subject(), dSinks, tensor(sinks as number[], [4]), (moved) =>
        lossOf(q, k, { ...options, sinks: moved }, v, dOutput),
      )
    expect([dBias !== undefined, dSinks !== undefined]).toEqual([bias !== undefined, sinks !== undefined])
    for (const made of [dq, dk, dv, dBias, dSinks]) made?.dispose()
  })

  it('passes back through a rotation', async () => {
    const { backend } = subject()
    const position = rotary({ dim: 6 })
    const options: AttentionOptions = { backend, position, causal: true }
    using result = await attentionWithGradient(q, k, v, options)
    const { dq, dk, dv } = await result.backward(dOutput)
    const turned = async (view: HostTensor, start: number): Promise<HostTensor> => {
      using made = backend.rotate(view, position.table({ start, length: view.shape[2]! }))
      return tensor(await backend.read(made), made.shape)
    }
    const [turnedQuery, turnedKey] = [await turned(q, 2), await turned(k, 0)]
    // By the chain rule: the loss falls along (dq, direction) as fast as it does along the turned direction.
    const direction = normal('direction', q.shape)
    const along = dot(await valuesOf(subject(), dq), toFloat64(direction))
    const step = async (size: number): Promise<number> => {
      const turnedDirection = toFloat64(await turned(direction, 2))
      const moved = tensor(
        Float32Array.from(toFloat64(turnedQuery), (element, index) => element + size * turnedDirection[index]!),
        q.shape,
      )
      return lossOf(moved, turnedKey, { causal: true }, v, dOutput)
    }
    expect(((await step(1e-2)) - (await step(-1e-2))) / 2e-2).toBeCloseTo(along, 2)
    for (const made of [dq, dk, dv]) made.dispose()
  })

  const small = (name: string, shape: readonly number[]): HostTensor => normal(name, shape, 0.5)
  /** By name: how each encoding is made of its parameters, and whether queries and keys also turn. */
  const learned: Record<string, { readonly turns?: boolean; readonly makers: readonly ((moved: Moved) => ScoreEncoding)[] }> = {
    'T5 buckets': { makers: [(moved) => t5Bias({ table: moved(small('t5', [8, 4])), maxDistance: 16 })] },
    KERPLE: { makers: [(moved) => kerple({ r1: moved(tensor([0.5, 1, 2, 3], [4])), r2: moved(tensor([0.3, 0.5, 1, 2], [4])) })] },
    'a stack: Shaw, rotary, T5 buckets, a temperature': {
      turns: true,
      makers: [
        (moved) => shaw({ table: moved(small('Shaw', [5, 8])) }),
        (moved) => t5Bias({ table: moved(small('t5', [8, 4])), maxDistance: 16 }),
        () => temperature({ beta: 0.5, floor: 4 }),
      ],
    },
    'a stack: DeBERTa and relative_key_query': {
      makers: [
        (moved) => disentangled({ positionKeys: moved(small('c2p', [4, 6, 8])), positionQueries: moved(small('p2c', [4, 6, 8])) }),
        (moved) => relativeKeyQuery({ table: moved(small('relative', [13, 8])) }),
      ],
    },
    'Transformer-XL': {
      makers: [
        (moved) =>
          transformerXl({
            contentBias: moved(small('u', [4, 8])),
            positionBias: moved(small('v', [4, 8])),
            projection: moved(small('W', [4, 8, 6])),
          }),
      ],
    },
    // Its vectors lie on a line, so that slopes do not jump where a count crosses a whole number.
    CoPE: {
      makers: [
        (moved) =>
          cope({
            table: moved(
              tensor(
                Float32Array.from({ length: 9 * 8 }, (_, i) => 0.1 * (i >> 3) * ((i % 8) - 3)),
                [9, 8],
              ),
            ),
          }),
      ],
    },
  }

  it.each(Object.entries(learned))(
    '%s: its own parameters have gradients, by central differences',
    async (_, { makers, turns = false }) => {
      const { backend } = subject()
      const turn = turns ? [rotary({ dim: 8 })] : []
      const parameters: HostTensor[] = []
      const encodings = makers.map((make) => make((parameter) => (parameters.push(parameter), parameter)))
      using result = await attentionWithGradient(q, k, v, { backend, position: [...encodings, ...turn], causal: true })
      const { dq, dk, dv, captured } = await result.backward(dOutput)

      expect(new Set(captured.keys())).toEqual(new Set(encodings.flatMap((encoding) => encoding.parameters)))
      const loss = (query: HostTensor, key: HostTensor, moved: Moved): number => {
        const made = makers.map((make) => make(moved))
        return lossOf(...positionedByHand(query, key, made, turns), v, dOutput)
      }
      const unmoved: Moved = (parameter) => parameter
      await expectSlopes(subject(), dq, q, (moved) => loss(moved, k, unmoved))
      await expectSlopes(subject(), dk, k, (moved) => loss(q, moved, unmoved))
      for (const [which, parameter] of parameters.entries()) {
        let count = 0
        await expectSlopes(subject(), captured.get(parameter)!, parameter, (moved) => {
          count = 0
          return loss(q, k, (own) => (count++ === which ? moved : own))
        })
      }
      for (const made of [dq, dk, dv, ...captured.values()]) made.dispose()
    },
  )

  it('a table that two encodings share has the sum of both gradients, and nothing is left behind', async () => {
    const { backend } = subject()
    const before = await tensorsHeld(subject())
    const table = small('shared', [13, 8])
    const make = (moved: HostTensor) => [relativeKeyQuery({ table: moved }), shaw({ table: moved })]
    {
      using result = await attentionWithGradient(q, k, v, { backend, position: make(table), causal: true })
      const { dq, dk, dv, captured } = await result.backward(dOutput)
      await expectSlopes(subject(), captured.get(table)!, table, (moved) =>
        lossOf(...positionedByHand(q, k, make(moved), false), v, dOutput),
      )
      for (const made of [dq, dk, dv, ...captured.values()]) made.dispose()
    }
    expect(await tensorsHeld(subject())).toBe(before)
  })

  it.each([
    ['half', 'each head', 2, 2],
    ['interleaved', 'each head', 2, 2],
    ['half', 'all heads', 4, 1],
  ] as const)('trained frequencies (%s) of %s have gradients, by central differences', async (layout, _, queryHeads, own) => {
    const { backend } = subject()
    const frequencies = small('frequencies', [own, 2, 3])
    const query = normal('mixed q', [2, queryHeads, 5, 8])
    const [key, value] = [normal('mixed k', [2, 2, 5, 8]), normal('mixed v', [2, 2, 5, 6])]
    const grid = normal('grid', [2, 2, 5], 2)
    const d = normal('gradient of mixed output', [2, queryHeads, 5, 6])
    const loss = (theta: HostTensor): number => {
      const position = mixedRotary({ frequencies: theta, layout })
      const { cos, sin } = position.table(grid)
      const turned = (view: HostTensor): HostTensor => byTable(view, cos as HostTensor, sin as HostTensor, layout)
      return lossOf(turned(query), turned(key), {}, value, d)
    }
    using result = await attentionWithGradient(query, key, value, {
      backend,
      position: [mixedRotary({ frequencies, layout })],
      positions: { query: grid, key: grid },
    })
    const { dq, dk, dv, captured } = await result.backward(d)
    await expectSlopes(subject(), captured.get(frequencies)!, frequencies, loss, 12)
    for (const made of [dq, dk, dv, ...captured.values()]) made.dispose()
  })

  it('refuses a gradient of another shape', async () => {
    using result = await attentionWithGradient(q, k, v, { backend: subject().backend })
    await expect(result.backward(q)).rejects.toThrow('attentionWithGradient: dOutput must be [1,4,5,6]; received [1,4,5,8]')
  })
}

function lossOf(q: HostTensor, k: HostTensor, options: ProblemOptions, v: HostTensor, dOutput: HostTensor): number {
  return dot(reference(problem(q, k, v, options)).output, toFloat64(dOutput))
}

/** Makes an encoding's parameters from those it would have. */
type Moved = (parameter: HostTensor) => HostTensor

/** The terms of encodings, in turn, rotated by hand: the query stands at 2, and the pairs' angles are 10000^(−c/4) a step. */
function positionedByHand(
  query: HostTensor,
  key: HostTensor,
  encodings: readonly ScoreEncoding[],
  turns: boolean,
): [query: HostTensor, key: HostTensor, options: ProblemOptions] {
  const scale = 1 / Math.sqrt(8)
  let inputs = { query, key }
  const scores: ScoreMod[] = []
  for (const encoding of encodings) {
    const made =
      encoding.follows === 'positions' ? { ...inputs, scoreMod: encoding.scoreMod } : encoding.terms({ ...inputs, scale })
    inputs = made
    if (made.scoreMod) scores.push(made.scoreMod)
  }
  const turned = (view: HostTensor, start: number): HostTensor => {
    const values = toFloat64(view)
    const [, , length = 0, dim = 0] = view.shape
    const at = (index: number): number => {
      const [c, token] = [index % dim, Math.floor(index / dim) % length]
      if (c >= 8) return values[index]!
      const angle = (start + token) * 10000 ** (-(c % 4) / 4)
      return values[index]! * Math.cos(angle) + (c < 4 ? -1 : 1) * values[c < 4 ? index + 4 : index - 4]! * Math.sin(angle)
    }
    return tensor(
      Float32Array.from(values, (_, index) => at(index)),
      view.shape,
    )
  }
  const options = { causal: true, scale, score: scores.length > 0 ? composeScores(...scores) : undefined }
  return turns ? [turned(inputs.query, 2), turned(inputs.key, 0), options] : [inputs.query, inputs.key, options]
}

/** Vectors whose first elements turn by a table [batch, 1 or heads, length, pairs]. */
function byTable(view: HostTensor, cos: HostTensor, sin: HostTensor, layout: 'half' | 'interleaved'): HostTensor {
  const [x, c, s] = [toFloat64(view), toFloat64(cos), toFloat64(sin)]
  const [, heads = 0, length = 0, dim = 0] = view.shape
  const [, own = 0, , pairs = 0] = cos.shape
  const values = x.map((element, index) => {
    const at = index % dim
    if (at >= 2 * pairs) return element
    const [token, head] = [Math.floor(index / dim) % length, Math.floor(index / dim / length)]
    const row = (Math.floor(head / heads) * own + (head % own)) * length + token
    const pair = layout === 'half' ? at % pairs : at >> 1
    const second = layout === 'half' ? at >= pairs : at % 2 === 1
    const partner = x[index + (second ? -1 : 1) * (layout === 'half' ? pairs : 1)]!
    return element * c[row * pairs + pair]! + (second ? 1 : -1) * partner * s[row * pairs + pair]!
  })
  return tensor(Float32Array.from(values), view.shape)
}
