import { contiguousStrides, roundTo, type FloatDtype, type HostTensor, type RotaryTable, type Tensor } from '@qkv/core'
import type { Positions, RotaryEncoding } from '../encoding.ts'
import { isRange, sequenceLength, tokenPositions, type TokenPositions } from '../positions.ts'
import { checkEven, checkOneOf } from '../refuse.ts'
import { frequencyGradient } from './frequency-gradient.ts'

/** What tells one rotary encoding from another. */
export interface Rotation {
  /** The public function, for errors. */
  readonly operation: string
  readonly dim: number
  readonly layout: 'half' | 'interleaved'
  readonly dtype?: FloatDtype | undefined
  /** Numbers of a position. Default 1. */
  readonly axes?: number
  /** Heads that turn by frequencies of their own. Default 1: all share. */
  readonly heads?: number
  /** Radians per position, [heads, axes, dim/2]: a pair turns by θ · position, summed over the axes. */
  frequencies(contextLength: number): Float64Array
  /** Whether frequencies follow the context's length. Default false. */
  readonly followsLength?: boolean
  /** Multiplies queries and keys, and so scores by its square. Default 1. */
  readonly attentionFactor?: number
  /** The logarithm, per position and pair, by which queries grow and keys shrink. */
  readonly growth?: Float64Array
  /** The largest position, where it is not 2²⁴. */
  readonly largest?: number
  /** [heads, axes, dim/2], where frequencies are trained: they may be others at each call. */
  readonly trained?: HostTensor
}

/** Angles, cosines and sines are float64 and rounded once, as they are stored. */
export function rotaryEncoding(rotation: Rotation): RotaryEncoding {
  const { operation, layout, dim, axes = 1, attentionFactor = 1, largest, growth, trained } = rotation
  checkEven(operation, 'dim', dim)
  checkOneOf(operation, 'layout', layout, ['half', 'interleaved'])
  const make = (positions: Positions, role: 'query' | 'key', factor: number, contextLength?: number): RotaryTable => {
    const tokens = tokenPositions(operation, positions, axes, largest)
    const frequencies = rotation.frequencies(contextLength ?? sequenceLength(tokens))
    return rotaryTable(rotation, tokens, frequencies, factor, role === 'query' ? 1 : -1)
  }
  const table: TableMaker = (positions, role = 'query', contextLength) => make(positions, role, attentionFactor, contextLength)
  return Object.freeze<RotaryEncoding>({
    kind: 'rotary',
    layout,
    dim,
    axes,
    followsLength: rotation.followsLength ?? false,
    parameters: trained ? [trained] : [],
    table: trained ? table : keepingLast(table, growth === undefined),
    shift: (offset, contextLength = 0) => make(typeof offset === 'number' ? [offset] : offset, 'key', 1, contextLength),
    gradient: (turned) => (trained ? [frequencyGradient({ operation, layout, frequencies: trained }, turned)] : []),
  })
}

type TableMaker = RotaryEncoding['table']

/**
 * A model's layers ask for one table after another, all the same, and for queries what they ask for keys: the last is kept. Not
 * that of a long range: it would hold megabytes as long as the encoding lives, and takes no time beside that range's attention.
 */
function keepingLast(make: TableMaker, rolesShare: boolean): TableMaker {
  let last:
    | { start: number; length: number; role: 'query' | 'key' | undefined; contextLength: number | undefined; table: RotaryTable }
    | undefined
  return (positions, role, contextLength) => {
    if (!isRange(positions) || positions.length > longestKept) return make(positions, role, contextLength)
    const asked = last?.start === positions.start && last.length === positions.length && last.contextLength === contextLength
    if (last && asked && (rolesShare || last.role === role)) return last.table
    const table = make(positions, role, contextLength)
    const { start, length } = positions
    last = { start, length, role, contextLength, table }
    return table
  }
}

const longestKept = 4096

function rotaryTable(
  { dim, layout, heads = 1, growth, dtype = 'float32' }: Rotation,
  { shape, axes }: TokenPositions,
  frequencies: Float64Array,
  factor: number,
  growthSign: 1 | -1,
): RotaryTable {
  const pairs = dim / 2
  const length = shape.at(-1) ?? 0
  const batch = shape.length === 2 ? (shape[0] ?? 0) : 1
  const cos = new Float64Array(batch * heads * length * pairs)
  const sin = new Float64Array(cos.length)
  for (let at = 0; at < cos.length; at++) {
    const pair = at % pairs
    const row = Math.floor(at / pairs)
    const head = Math.floor(row / length) % heads
    const token = Math.floor(row / (length * heads)) * length + (row % length)
    let angle = 0
    axes.forEach((positions, axis) => (angle += positions[token]! * frequencies[(head * axes.length + axis) * pairs + pair]!))
    const scale = growth ? factor * Math.exp(growthSign * growth[pair]! * axes[0]![token]!) : factor
    cos[at] = scale * Math.cos(angle)
    sin[at] = scale * Math.sin(angle)
  }
  const tableShape = shape.length === 2 || heads > 1 ? [batch, heads, length, pairs] : [length, pairs]
  const stored = (values: Float64Array): Tensor => ({
    dtype,
    shape: tableShape,
    strides: contiguousStrides(tableShape),
    offset: 0,
    storage: roundTo(values, dtype),
  })
  return { cos: stored(cos), sin: stored(sin), layout, dim }
}
