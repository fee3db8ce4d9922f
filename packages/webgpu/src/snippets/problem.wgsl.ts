import type { FloatDtype } from '@qkv/core'
import type { BufferDeclaration, KernelInterface } from '../kernel.ts'
import { dropout, dropoutParameters } from './dropout.wgsl.ts'
import {
  declareElements,
  declareStrides,
  isQuantised,
  readElement,
  readQuantised,
  readVector,
  type Access,
  type QuantisedAccess,
} from './elements.wgsl.ts'
import { captureIndexFunctions, captureParameters, expressionHelpers, pair, type Captures } from './expression.wgsl.ts'
import { accurateTanh } from './tanh.wgsl.ts'
import { visibility, visibilityParameters } from './visibility.wgsl.ts'

/** What of a problem is compiled into a kernel; everything else is a parameter. Plain data, the key of its pipeline. */
export interface ProblemSpec {
  readonly headDim: number
  readonly valueDim: number
  readonly query: Access<FloatDtype>
  readonly key: KeyAccess
  readonly value: KeyAccess
  /** Its dtype, or that it lies in `context` as float32. */
  readonly bias: FloatDtype | 'context' | undefined
  readonly softcap: boolean
  readonly sinks: boolean
  readonly lengths: boolean
  readonly mask: boolean
  readonly dropout: boolean
  /** WGSL of `changeScore` and `mayAttend`, from the problem's expressions. */
  readonly scoreCode: string | undefined
  readonly maskCode: string | undefined
  readonly captureRanks: readonly number[]
  readonly scalarTypes: readonly ('i32' | 'f32')[]
}

export type KeyAccess = Access<FloatDtype> | QuantisedAccess

/** Whether a score is just scale · q·k, so that log₂e may be folded into the scale. */
export function isPlain(spec: ProblemSpec): boolean {
  return !spec.softcap && spec.bias === undefined && spec.scoreCode === undefined
}

/**
 * Buffers stay within the eight that every device has: lengths, sinks, mask bytes, captured tensors and a block map
 * share one, `context`, and so does the bias where scales take two of the eight.
 */
export function problemInterface(spec: ProblemSpec, blockMap = false): KernelInterface {
  const buffers: Record<string, BufferDeclaration> = {
    query: declareElements(spec.query),
    ...declareKeys('key', spec.key),
    ...declareKeys('value', spec.value),
  }
  if (spec.bias !== undefined && spec.bias !== 'context') buffers['bias'] = declareElements({ dtype: spec.bias, vectors: false })
  if (usesContext(spec, blockMap)) buffers['context'] = { type: 'array<u32>', access: 'read' }
  return {
    parameters: {
      batch: 'i32',
      queryHeads: 'i32',
      keyHeads: 'i32',
      group: 'i32',
      scale: 'f32',
      ...visibilityParameters,
      ...declareStrides('query'),
      ...declareStrides('key'),
      ...declareStrides('value'),
      ...(isQuantised(spec.key) ? declareStrides('keyScales') : {}),
      ...(isQuantised(spec.value) ? declareStrides('valueScales') : {}),
      ...(spec.dropout ? dropoutParameters : {}),
      ...(spec.bias === undefined ? {} : declareStrides('bias')),
      ...(spec.softcap ? { softcap: 'f32' as const } : {}),
      ...(spec.lengths ? { lengthsAt: 'i32' as const } : {}),
      ...(spec.sinks ? { sinksAt: 'i32' as const } : {}),
      ...(spec.mask ? declareStrides('mask') : {}),
      ...captureParameters(capturesOf(spec)),
    },
    buffers,
  }
}

function declareKeys(name: string, access: KeyAccess): Record<string, BufferDeclaration> {
  if (!isQuantised(access)) return { [name]: declareElements(access) }
  return { [name]: { type: 'array<u32>', access: 'read' }, [`${name}Scales`]: { type: 'array<f32>', access: 'read' } }
}

export function usesContext(spec: ProblemSpec, blockMap: boolean): boolean {
  return blockMap || spec.bias === 'context' || spec.sinks || spec.lengths || spec.mask || spec.captureRanks.length > 0
}

/** Only ranks and types of captures matter to the code; a stand-in for the tensors themselves. */
function capturesOf({ captureRanks, scalarTypes }: ProblemSpec): Captures {
  const tensors = captureRanks.map((rank) => ({
    dtype: 'float32' as const,
    shape: new Array<number>(rank).fill(0),
    strides: [],
    offset: 0,
    storage: new Float32Array(),
  }))
  return { tensors, scalars: [], scalarTypes: [...scalarTypes] }
}

/**
 * The functions every attention kernel shares:
 * `queryVector`, `keyVector`, `valueVector(base, chunk)`; `queryBase`, `keyBase`, `valueBase(batch, head, row)`;
 * `rowIndex(batch, head, row)`, which of all rows of queries it is;
 * `validKeysOf(batch)`; `isVisible(at)` for masks; `finalScore(scaled, at)`, all that happens to scale · q·k, and
 * `lowest` where that hides the key; with dropout, `kept(at)`.
 */
export function problemFunctions(spec: ProblemSpec): string {
  return `const log2e = 1.4426950408889634;
const ln2 = 0.6931471805599453;
/* Below every score, and its distance to any score is finite. */
const lowest = -1.7e38;
${pair}
${visibility}
${spec.softcap || usesTanh(spec) ? accurateTanh : ''}
${spec.scoreCode === undefined && spec.maskCode === undefined ? '' : expressionHelpers}
${captureIndexFunctions(capturesOf(spec))}
${spec.scoreCode ?? ''}
${spec.maskCode ?? ''}
${readVector('query', spec.query, spec.headDim)}
${readKeys('key', spec.key, spec.headDim)}
${readKeys('value', spec.value, spec.valueDim)}
${base('query')}
${rowIndex}
${spec.dropout ? dropout : ''}
${spec.bias === undefined ? '' : readBias(spec.bias)}
${validKeysOf(spec.lengths)}
${isVisible(spec)}
${spec.sinks ? sinkOf : ''}
${spec.bias === undefined ? '' : biasAt}
fn finalScore(scaled: f32, at: Pair) -> f32 {
  var score = scaled;
  ${spec.softcap ? 'score = parameters.softcap * accurateTanh(score / parameters.softcap);' : ''}
  ${
    spec.bias === undefined
      ? ''
      : `let bias = biasAt(at);
  if (bias <= lowest) { return lowest; }
  score += bias;`
  }
  ${spec.scoreCode === undefined ? '' : 'score = changeScore(at, score);'}
  return score;
}`
}

/** `fn validKeysOf(batch: i32) -> i32`: of all keys the ones that a sequence has. */
export function validKeysOf(lengths: boolean): string {
  const length = 'clamp(bitcast<i32>(context[parameters.lengthsAt + batch]), 0, parameters.keyLength)'
  return `fn validKeysOf(batch: i32) -> i32 { return ${lengths ? length : 'parameters.keyLength'}; }`
}

/** Also `KeyRow`, what `keyBase` returns, and `keyStep()`, from one row to the next; the same for values. */
function readKeys(name: string, access: KeyAccess, dim: number): string {
  const type = `${name[0]!.toUpperCase()}${name.slice(1)}Row`
  if (!isQuantised(access)) {
    return `${readVector(name, access, dim)}
${base(name)}
alias ${type} = i32;
fn ${name}Step() -> i32 { return parameters.${name}Stride2; }`
  }
  return `${readQuantised(name, access, dim)}
${base(name, 'RowBase')}
${base(`${name}Scales`)}
fn ${name}Base(batch: i32, head: i32, row: i32) -> vec2i {
  return vec2i(${name}RowBase(batch, head, row), ${name}ScalesBase(batch, head, row));
}
alias ${type} = vec2i;
fn ${name}Step() -> vec2i { return vec2i(parameters.${name}Stride2, parameters.${name}ScalesStride2); }`
}

function readBias(bias: FloatDtype | 'context'): string {
  if (bias !== 'context') return readElement('bias', bias)
  return 'fn biasElement(index: i32) -> f32 { return bitcast<f32>(context[index]); }'
}

function usesTanh({ scoreCode = '', maskCode = '' }: ProblemSpec): boolean {
  return scoreCode.includes('accurateTanh') || maskCode.includes('accurateTanh')
}

/** `fn {name}Base(batch, head, row) -> i32`: the first element of a vector. */
export function base(name: string, suffix = 'Base'): string {
  return `fn ${name}${suffix}(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.${name}Offset + batch * parameters.${name}Stride0 + head * parameters.${name}Stride1 + row * parameters.${name}Stride2;
}`
}

const rowIndex = `fn rowIndex(batch: i32, head: i32, row: i32) -> i32 {
  return (batch * parameters.queryHeads + head) * parameters.queryLength + row;
}`

/** A head's sink in powers of two; `lowest` where it is −∞, that is, none. */
const sinkOf = `fn sinkOf(head: i32) -> f32 {
  let bits = context[parameters.sinksAt + head];
  return select(bitcast<f32>(bits) * log2e, lowest, bits == 0xff800000u);
}`

const scoreIndex = (name: string): string =>
  [
    `parameters.${name}Offset`,
    ...['batch', 'head', 'row', 'key'].map((axis, index) => `at.${axis} * parameters.${name}Stride${index}`),
  ].join(' + ')

const biasAt = `fn biasAt(at: Pair) -> f32 { return biasElement(${scoreIndex('bias')}); }`

function isVisible({ mask, maskCode }: ProblemSpec): string {
  const byte = `let byte = ${scoreIndex('mask')};
  if (((context[byte >> 2] >> (8u * u32(byte & 3))) & 0xffu) == 0u) { return false; }`
  return `fn isVisible(at: Pair) -> bool {
  ${mask ? byte : ''}
  return ${maskCode === undefined ? 'true' : 'mayAttend(at, 0.0)'};
}`
}
