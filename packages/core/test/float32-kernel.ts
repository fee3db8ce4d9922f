import {
  dropoutHash,
  dropoutThreshold,
  firstPosition,
  isHostTensor,
  roundTo,
  tensor,
  toFloat32,
  visibleKeys,
  type AttentionProblem,
  type HostTensor,
  type Tensor,
} from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'

const f = Math.fround

/** One way in which a kernel is wrong. */
export type Defect =
  | 'maximum starts at zero'
  | 'sum is not rescaled'
  | 'output is not rescaled'
  | 'last key is skipped'
  | 'first key of a tile is counted twice'
  | 'weights in bfloat16'
  | 'weights in float16'
  | 'exp off by 1e-5'
  | 'exp clamped at -20'
  | 'reciprocal of 12 bits'
  | 'scores in float16'
  | 'softcap forgotten'
  | 'bias forgotten'
  | 'bias added before softcap'
  | 'sink forgotten'
  | 'window one too wide'
  | 'causal one too far'
  | 'wrong key head'
  | 'lengths forgotten'
  | 'log of base 2 kept'
  | 'scales of the wrong group'
  | 'nibbles swapped'
  | 'dropout before the sum'
  | 'dropout not scaled up'
  | 'dropout by position'

export interface KernelOptions {
  /** Keys per tile. */
  readonly tile?: number
  /** Ranges of keys, computed apart and merged. */
  readonly splits?: number
  /** Exponentials to base 2, with log₂e folded into the scale. */
  readonly base2?: boolean
  readonly defect?: Defect | undefined
}

interface State {
  m: number
  l: number
  readonly o: Float32Array
}

/** Online softmax in float32, every operation rounded: a plain, correct kernel, to be made incorrect on purpose. */
export function float32Kernel(problem: AttentionProblem, options: KernelOptions = {}): { output: Float64Array; lse: Float32Array } {
  const { batch, queryHeads, queryLength, valueDim } = problem
  const data = decode(problem, options.defect)
  const output = new Float32Array(batch * queryHeads * queryLength * valueDim)
  const lse = new Float32Array(batch * queryHeads * queryLength)
  const { defect, base2 = false } = options
  for (let at = 0, b = 0; b < batch; b++) {
    for (let h = 0; h < queryHeads; h++) {
      for (let i = 0; i < queryLength; i++, at++) {
        const state = attendRow(problem, data, b, h, i, options)
        const sink = defect === 'sink forgotten' ? undefined : data.sinks?.[h]
        if (sink !== undefined) absorb(state, { m: base2 ? f(sink * log2e) : sink, l: 1, o: new Float32Array(valueDim) }, base2)
        const inverse = reciprocal(state.l, defect)
        for (let c = 0; c < valueDim; c++) output[at * valueDim + c] = state.l === 0 ? 0 : f((state.o[c] ?? 0) * inverse)
        const logarithm =
          base2 && defect !== 'log of base 2 kept' ? f(f(state.m + f(Math.log2(state.l))) * ln2) : f(state.m + f(Math.log(state.l)))
        lse[at] = state.l === 0 ? -Infinity : logarithm
      }
    }
  }
  const stored = tensor(roundTo(output, problem.query.dtype), [output.length], { dtype: problem.query.dtype })
  return { output: Float64Array.from(toFloat32(stored)), lse }
}

const log2e = f(Math.LOG2E)
const ln2 = f(Math.LN2)

function attendRow(problem: AttentionProblem, data: Data, b: number, h: number, i: number, options: KernelOptions): State {
  const { tile = 16, splits = 1, base2 = false, defect } = options
  const { keyLength, valueDim, group, window } = problem
  const validKeys = defect === 'lengths forgotten' ? keyLength : (data.lengths?.[b] ?? keyLength)
  const position = firstPosition(problem, validKeys) + i
  const wider = defect === 'window one too wide' ? { ...problem, window: { ...window, left: window.left + 1 } } : problem
  const range = visibleKeys(wider, defect === 'causal one too far' ? position + 1 : position, validKeys)
  const end = defect === 'last key is skipped' ? range.end - 1 : range.end
  const keyHead = defect === 'wrong key head' ? h % problem.keyHeads : Math.floor(h / group)
  const whole: State = { m: -Infinity, l: 0, o: new Float32Array(valueDim) }
  const splitSize = Math.max(1, Math.ceil((end - range.first) / splits))
  for (let start = range.first; start < end; start += splitSize) {
    const part: State = { m: defect === 'maximum starts at zero' ? 0 : -Infinity, l: 0, o: new Float32Array(valueDim) }
    const stop = Math.min(end, start + splitSize)
    for (let first = start; first < stop; first += tile) {
      attendTile(problem, data, { b, h, i, position, keyHead, first, end: Math.min(stop, first + tile) }, part, options)
    }
    if (part.l > 0) absorb(whole, part, base2)
  }
  return whole
}

export interface Tile {
  b: number
  h: number
  i: number
  position: number
  keyHead: number
  first: number
  end: number
}

function attendTile(
  problem: AttentionProblem,
  data: Data,
  tile: Tile,
  state: State,
  { base2 = false, defect }: KernelOptions,
): void {
  const { b, keyHead, first, end } = tile
  const { valueDim, keyLength } = problem
  const scores: { key: number; s: number }[] = []
  for (let key = first; key < end; key++) {
    const s = scoreOf(problem, data, tile, key, defect)
    if (s !== undefined && s !== -Infinity) scores.push({ key, s: base2 ? f(s * log2e) : s })
  }
  if (scores.length === 0) return
  const m = scores.reduce((highest, { s }) => Math.max(highest, s), state.m)
  const correction = state.m === -Infinity ? 0 : exponential(f(state.m - m), base2)
  if (defect !== 'sum is not rescaled') state.l = f(state.l * correction)
  if (defect !== 'output is not rescaled') state.o.forEach((o, c) => (state.o[c] = o * correction))
  state.m = m
  if (defect === 'first key of a tile is counted twice') scores.unshift(...scores.slice(0, 1))
  for (const { key, s } of scores) {
    const weight = weightOf(f(s - m), base2, defect)
    const p = dropped(problem, tile, key, weight, defect)
    state.l = f(state.l + (defect === 'dropout before the sum' ? p : weight))
    const v = ((b * problem.keyHeads + keyHead) * keyLength + key) * valueDim
    for (let c = 0; c < valueDim; c++) state.o[c] = f((state.o[c] ?? 0) + f(p * (data.value[v + c] ?? 0)))
  }
}

function dropped(
  { dropout }: AttentionProblem,
  { b, h, i, position }: Tile,
  key: number,
  weight: number,
  defect: Defect | undefined,
): number {
  if (dropout === undefined) return weight
  const row = defect === 'dropout by position' ? position : i
  if (dropoutHash(dropout.seed, b, h, row, key) < dropoutThreshold(dropout)) return 0
  return defect === 'dropout not scaled up' ? weight : f(weight * f(1 / (1 - dropout.probability)))
}

function scoreOf(problem: AttentionProblem, data: Data, tile: Tile, key: number, defect: Defect | undefined): number | undefined {
  const { b, h, i, position } = tile
  const score = givenScore(problem, data, tile, key, defect)
  return score !== undefined && data.scoreMod && score !== -Infinity ? f(data.scoreMod(b, h, position, key, i, score)) : score
}

/** The score that a score expression is given; undefined where the key is masked. */
export function givenScore(
  problem: AttentionProblem,
  data: Data,
  { b, h, i, position, keyHead }: Tile,
  key: number,
  defect: Defect | undefined,
): number | undefined {
  const { headDim, keyLength, queryLength, queryHeads, scale, softcap } = problem
  const pair = ((b * queryHeads + h) * queryLength + i) * keyLength + key
  if (data.mask?.[pair] === 0) return undefined
  if (data.maskMod?.(b, h, position, key, i, NaN) === 0) return undefined
  const q = ((b * queryHeads + h) * queryLength + i) * headDim
  const k = ((b * problem.keyHeads + keyHead) * keyLength + key) * headDim
  let sum = 0
  for (let c = 0; c < headDim; c++) sum = f(sum + f((data.query[q + c] ?? 0) * (data.key[k + c] ?? 0)))
  const bias = defect === 'bias forgotten' ? 0 : (data.bias?.[pair] ?? 0)
  const scaled = defect === 'scores in float16' ? toHalf(f(sum * f(scale))) : f(sum * f(scale))
  const cap = (s: number): number =>
    softcap === 0 || defect === 'softcap forgotten' ? s : f(f(softcap) * f(Math.tanh(f(s / f(softcap)))))
  return defect === 'bias added before softcap' ? cap(f(scaled + bias)) : f(cap(scaled) + bias)
}

/** Takes another partial state into `state`. */
function absorb(state: State, part: State, base2: boolean): void {
  const m = Math.max(state.m, part.m)
  const a = state.m === -Infinity ? 0 : exponential(f(state.m - m), base2)
  const b = exponential(f(part.m - m), base2)
  state.m = m
  state.l = f(f(state.l * a) + f(part.l * b))
  state.o.forEach((o, c) => (state.o[c] = f(f(o * a) + f((part.o[c] ?? 0) * b))))
}

function exponential(x: number, base2: boolean): number {
  return f(base2 ? 2 ** x : Math.exp(x))
}

function weightOf(x: number, base2: boolean, defect: Defect | undefined): number {
  switch (defect) {
    case 'weights in bfloat16':
      return toFloat32(tensor(roundTo([exponential(x, base2)], 'bfloat16'), [1], { dtype: 'bfloat16' }))[0] ?? NaN
    case 'weights in float16':
      return toHalf(exponential(x, base2))
    case 'exp off by 1e-5':
      return f(exponential(x, base2) * (1 + 1e-5 * Math.sin(7 * x)))
    case 'exp clamped at -20':
      return exponential(Math.max(-20, x), base2)
    default:
      return exponential(x, base2)
  }
}

function reciprocal(l: number, defect: Defect | undefined): number {
  const inverse = f(1 / l)
  return defect === 'reciprocal of 12 bits' ? inverse * (1 + 2 ** -12) : inverse
}

function toHalf(value: number): number {
  return toFloat32(tensor(roundTo([value], 'float16'), [1], { dtype: 'float16' }))[0] ?? NaN
}

export interface Data {
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly bias: Float32Array | undefined
  readonly mask: Float32Array | undefined
  readonly sinks: Float32Array | undefined
  readonly lengths: Float32Array | undefined
  readonly maskMod: ReturnType<typeof compileExpression> | undefined
  readonly scoreMod: ReturnType<typeof compileExpression> | undefined
}

export function decode(problem: AttentionProblem, defect?: Defect): Data {
  const { bias, mask, sinks, lengths, maskMod, scoreMod, keyScales, valueScales, headDim, valueDim } = problem
  return {
    query: toFloat32(host(problem.query)),
    key: elementsOf(problem.key, keyScales, headDim, defect),
    value: elementsOf(problem.value, valueScales, valueDim, defect),
    bias: bias && toFloat32(host(bias)),
    mask: mask && toFloat32(host(mask)),
    sinks: sinks && toFloat32(host(sinks)),
    lengths: lengths && toFloat32(host(lengths)),
    maskMod: maskMod && compileExpression(maskMod.node),
    scoreMod: scoreMod && compileExpression(scoreMod.node),
  }
}

function elementsOf(view: Tensor, scales: Tensor | undefined, dim: number, defect: Defect | undefined): Float32Array {
  const stored = toFloat32(host(view))
  if (scales === undefined) return stored
  const scale = toFloat32(host(scales))
  const groups = scales.shape[3] ?? 1
  const packed = view.dtype === 'uint8'
  return Float32Array.from({ length: stored.length * (packed ? 2 : 1) }, (_, index) => {
    const byte = stored[packed ? index >> 1 : index] ?? 0
    const low = (index % 2 === 0) !== (defect === 'nibbles swapped')
    const element = packed ? (low ? byte % 16 : byte >> 4) - 8 : byte
    const vector = Math.floor(index / dim)
    const group = Math.floor((index % dim) / (dim / groups))
    const taken = defect === 'scales of the wrong group' ? (group + 1) % groups : group
    return f(element * (scale[vector * groups + taken] ?? 0))
  })
}

function host(view: Tensor): HostTensor {
  if (!isHostTensor(view)) throw new Error('a tensor in host memory was expected')
  return view
}
