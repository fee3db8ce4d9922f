import {
  firstPosition,
  isHostTensor,
  problem as makeProblem,
  slice,
  toFloat64,
  visibleKeys,
  type AttentionProblem,
  type Dtype,
  type HostTensor,
  type ProblemOptions,
} from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import { drawVectors } from './distributions.ts'
import { drawTokens, type DrawOptions } from './draw-token.ts'
import { maskExpressions, scoreExpressions, type Place } from './expressions.ts'
import { guarded, layouts, type GuardedTensor, type Layout } from './guarded.ts'
import { parseToken, type ProblemSpec } from './problem-token.ts'
import { quantise } from './quantise.ts'
import { random, type Random } from './random.ts'

/** A problem whose every tensor lies in guarded, poisoned storage (see `guarded`), replayed by its token. */
export interface RandomProblem {
  readonly token: string
  readonly spec: ProblemSpec
  readonly problem: AttentionProblem
  /** A gradient of the output, float32, for backward passes. */
  readonly dOutput: HostTensor
  /** @throws naming the token where any bit of the inputs' memory, guards and gaps included, has changed. */
  expectUntouched(): void
}

/** `for (const { token, problem } of randomProblems({ count: 200, seed: 1 })) …` */
export function* randomProblems(options: DrawOptions): Generator<RandomProblem> {
  for (const token of drawTokens(options)) yield randomProblem(token)
}

export function randomProblem(token: string): RandomProblem {
  const spec = parseToken(token)
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, queryDtype, keyDtype } = spec
  const placed = new Map<string, GuardedTensor>()
  const place: Place = (name, values, shape, dtype) => {
    const stream = random(spec.seed, `layout of ${name}`)
    const layout: Layout = spec.layout === 'mixed' ? stream.pick(layouts) : spec.layout
    const tensor = guarded(values, shape, dtype, layout, stream)
    placed.set(name, tensor)
    return tensor.tensor
  }

  const vectors = drawVectors(
    spec.distribution,
    {
      queries: batch * queryHeads * queryLength,
      keys: batch * keyHeads * keyLength,
      headDim,
      valueDim,
      keyLength,
      dtype: queryDtype === 'float16' || keyDtype === 'float16' ? 'float16' : 'float32',
    },
    random(spec.seed, 'vectors'),
  )
  const options = drawOptions(spec, place)
  const placeKeys = (name: string, elements: Float64Array, dim: number, groups: number | undefined): KeysOrValues => {
    const vectorAxes = [batch, keyHeads, keyLength]
    if (!spec.quantised || !groups) return { tensor: place(name, elements, [...vectorAxes, dim], keyDtype) }
    const { dtype } = spec.quantised
    const quantised = quantise(elements, dtype, dim / groups)
    return {
      tensor: place(name, quantised.elements, [...vectorAxes, dtype === 'uint8' ? dim / 2 : dim], dtype),
      scales: place(`${name}Scales`, quantised.scales, [...vectorAxes, groups], 'float32'),
    }
  }
  const build = (keys: Float64Array, values: Float64Array): AttentionProblem => {
    const query = place('query', vectors.query, [batch, queryHeads, queryLength, headDim], queryDtype)
    const key = placeKeys('key', keys, headDim, spec.quantised?.keyGroups)
    const value = placeKeys('value', values, valueDim, spec.quantised?.valueGroups)
    return makeProblem(query, key.tensor, value.tensor, { ...options, keyScales: key.scales, valueScales: value.scales })
  }
  const clean = build(vectors.key, vectors.value)
  const problem = spec.poison ? build(...poisonUnseen(clean, vectors.key, vectors.value)) : clean

  const gradient = random(spec.seed, 'dOutput')
  const outputShape = [batch, queryHeads, queryLength, valueDim]
  const count = outputShape.reduce((product, size) => product * size, 1)
  const dOutput = place(
    'dOutput',
    Float64Array.from({ length: count }, () => gradient.normal()),
    outputShape,
    'float32',
  )
  return {
    token,
    spec,
    problem,
    dOutput,
    expectUntouched() {
      for (const [name, tensor] of placed) {
        const change = tensor.changed()
        if (change !== undefined) throw new Error(`the memory of ${name} was written to, ${change}\n${token}`)
      }
    },
  }
}

interface KeysOrValues {
  readonly tensor: HostTensor
  readonly scales?: HostTensor
}

function drawOptions(spec: ProblemSpec, place: Place): ProblemOptions {
  const { batch, queryHeads, queryLength, keyLength, seed } = spec
  const sizes: Record<string, number> = { b: batch, h: queryHeads, q: queryLength, k: keyLength, '1': 1 }
  const broadcast = (name: string, axes: string, dtype: Dtype, next: (stream: Random) => number): HostTensor => {
    const stream = random(seed, name)
    const shape = [...axes].map((axis) => sizes[axis] ?? 1)
    return place(
      name,
      Float64Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => next(stream)),
      shape,
      dtype,
    )
  }
  const density = random(seed, 'density').pick([0.15, 0.5, 0.9])
  return {
    scale: spec.scale,
    softcap: spec.softcap,
    causal: spec.causal,
    window: spec.window,
    bias: spec.bias ? broadcast('bias', spec.bias, spec.queryDtype, biasOf) : undefined,
    mask: spec.mask
      ? broadcast('mask', spec.mask, 'bool', (stream) => (stream.chance(density) ? 1 : 0))
      : spec.maskMod && maskExpressions[spec.maskMod](spec, place),
    score: spec.score && scoreExpressions[spec.score](spec, place),
    sinks: spec.sinks ? broadcast('sinks', 'h', 'float32', (stream) => 3 * stream.normal()) : undefined,
    lengths: spec.lengths
      ? broadcast('lengths', 'b', 'int32', (stream) => stream.integer(stream.chance(0.1) ? 0 : Math.min(1, keyLength), keyLength))
      : undefined,
    dropout: spec.dropout === undefined ? undefined : { probability: spec.dropout, seed },
  }
}

/** Ordinary numbers; now and then the −∞ or the large negative number with which masks are often written. */
function biasOf(stream: Random): number {
  if (stream.chance(0.03)) return -Infinity
  return stream.chance(0.03) ? -3e4 : 2 * stream.normal()
}

/** Key and value with NaN wherever no query of their group sees them. */
function poisonUnseen(problem: AttentionProblem, key: Float64Array, value: Float64Array): [Float64Array, Float64Array] {
  const seen = seenKeys(problem)
  const poisonVectors = (vectors: Float64Array, dim: number): Float64Array =>
    vectors.map((element, index) => (seen[Math.floor(index / dim)] ? element : NaN))
  return [poisonVectors(key, problem.headDim), poisonVectors(value, problem.valueDim)]
}

/** [batch · keyHeads · keyLength]: whether any query sees the key. */
function seenKeys(problem: AttentionProblem): Uint8Array {
  const { batch, queryHeads, keyHeads, group, queryLength, keyLength, mask, maskMod } = problem
  const expression = maskMod && compileExpression(maskMod.node)
  const seen = new Uint8Array(batch * keyHeads * keyLength)
  const allows = mask && isHostTensor(mask) ? toFloat64(mask) : undefined
  for (let b = 0; b < batch; b++) {
    const validKeys = validKeysOf(problem, b)
    for (let h = 0; h < queryHeads; h++) {
      for (let i = 0; i < queryLength; i++) {
        const query = firstPosition(problem, validKeys) + i
        const { first, end } = visibleKeys(problem, query, validKeys)
        for (let j = first; j < end; j++) {
          const allowed = allows === undefined || allows[((b * queryHeads + h) * queryLength + i) * keyLength + j] !== 0
          if (allowed && expression?.(b, h, query, j, i, NaN) !== 0)
            seen[(b * keyHeads + Math.floor(h / group)) * keyLength + j] = 1
        }
      }
    }
  }
  return seen
}

function validKeysOf(problem: AttentionProblem, batch: number): number {
  const { lengths, keyLength } = problem
  if (lengths === undefined || !isHostTensor(lengths)) return keyLength
  return toFloat64(slice(lengths, 0, batch, batch + 1))[0] ?? 0
}
