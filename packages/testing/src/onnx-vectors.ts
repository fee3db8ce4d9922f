import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  maskMod,
  roundTo,
  slice,
  splitHeads,
  tensor,
  toFloat64,
  type Dtype,
  type HostTensor,
  type ProblemOptions,
  type RotaryTable,
} from '@qkv/core'
import { sharedFolder } from './shared-folder.ts'

/** The ONNX standard's own test vectors of its operators `Attention` and `RotaryEmbedding`, as JSON. */
export const onnxFolder: string | undefined = sharedFolder('vectors/onnx')

/** One call of ONNX `Attention` in our terms. */
export interface OnnxAttention {
  readonly name: string
  readonly query: HostTensor
  /** All keys and values, past and present. */
  readonly key: HostTensor
  readonly value: HostTensor
  readonly options: ProblemOptions
  /** [batch, heads, length, dim], like ours, however the vector has it. */
  readonly output: HostTensor
  /** The past and what this call adds to it, where the vector has a cache. */
  readonly cache: OnnxCache | undefined
  /** The vector's fourth output, [batch, heads, queries, keys]. */
  readonly scores: OnnxScores | undefined
}

export interface OnnxCache {
  readonly past: { readonly key: HostTensor; readonly value: HostTensor }
  readonly added: { readonly key: HostTensor; readonly value: HostTensor }
  readonly present: { readonly key: HostTensor; readonly value: HostTensor }
}

export interface OnnxScores {
  /** At which stage: scaled products, after softcap, after the mask, after softmax. */
  readonly stage: 'products' | 'softcapped' | 'masked' | 'weights'
  readonly values: HostTensor
}

/** One call of ONNX `RotaryEmbedding` in our terms. */
export interface OnnxRotation {
  readonly name: string
  /** [batch, heads, length, dim] */
  readonly input: HostTensor
  readonly table: RotaryTable
  readonly output: HostTensor
}

/** None where the folder is absent. */
export function onnxAttentions(): readonly OnnxAttention[] {
  return readVectors('Attention').map(attentionOf)
}

/** None where the folder is absent. */
export function onnxRotations(): readonly OnnxRotation[] {
  return readVectors('RotaryEmbedding').map(rotationOf)
}

interface StoredTensor {
  readonly role: string
  readonly dtype: 'float32' | 'float16' | 'int64' | 'bool'
  readonly dims: readonly number[]
  readonly data: readonly number[]
}

interface StoredVector {
  readonly name: string
  readonly op: string
  readonly attributes: Readonly<Record<string, number>>
  readonly inputs: readonly StoredTensor[]
  readonly outputs: readonly StoredTensor[]
}

function readVectors(operator: string): readonly StoredVector[] {
  if (onnxFolder === undefined) return []
  const folder = onnxFolder
  const files = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .sort()
  const vectors = files.map((file): StoredVector => JSON.parse(readFileSync(join(folder, file), 'utf8')))
  return vectors.filter(({ op }) => op === operator)
}

function attentionOf({ name, attributes, inputs, outputs }: StoredVector): OnnxAttention {
  const { q_num_heads: queryHeads, kv_num_heads: keyHeads } = attributes
  const query = withHeads(required(inputs, 'Q'), queryHeads)
  const added = { key: withHeads(required(inputs, 'K'), keyHeads), value: withHeads(required(inputs, 'V'), keyHeads) }
  const cache = cacheOf(inputs, outputs, added)
  const key = cache ? cache.present.key : added.key
  const value = cache ? cache.present.value : added.value
  const lengths = find(inputs, 'nonpad_kv_seqlen')?.data
  return {
    name,
    query,
    key,
    value,
    cache,
    options: {
      scale: attributes['scale'],
      softcap: attributes['softcap'],
      ...maskOptions(find(inputs, 'attn_mask'), key.shape[2]!),
      ...(attributes['is_causal'] === 1 ? causalOptions(query, key, cache, lengths !== undefined) : {}),
      lengths,
    },
    output: withHeads(required(outputs, 'Y'), queryHeads),
    scores: scoresOf(outputs, attributes['qk_matmul_output_mode'] ?? 0),
  }
}

/**
 * ONNX aligns its causal mask by what it knows: with a past, the first query stands behind it; with valid lengths, the
 * last query stands at the last valid key; with neither, the first query at the first key.
 */
function causalOptions(query: HostTensor, key: HostTensor, cache: OnnxCache | undefined, hasLengths: boolean): ProblemOptions {
  if (hasLengths) return { causal: 'lower-right' }
  if (cache === undefined) return { causal: 'upper-left' }
  const past = cache.past.key.shape[2]!
  if (past + query.shape[2]! === key.shape[2]) return { causal: 'lower-right' }
  return { mask: maskMod((pair) => pair.key.le(pair.row.add(past))) }
}

/** Keys beyond a mask's last column are hidden. */
function maskOptions(stored: StoredTensor | undefined, keyLength: number): ProblemOptions {
  if (stored === undefined) return {}
  const columns = stored.dims.at(-1)!
  const hidden = stored.dtype === 'bool' ? 0 : -Infinity
  const rows = stored.data.length / columns
  const data = Array.from({ length: rows * keyLength }, (_, index) => {
    const [row, column] = [Math.floor(index / keyLength), index % keyLength]
    return column < columns ? stored.data[row * columns + column]! : hidden
  })
  return { mask: tensorOf({ ...stored, data, dims: [...stored.dims.slice(0, -1), keyLength] }) }
}

function cacheOf(
  inputs: readonly StoredTensor[],
  outputs: readonly StoredTensor[],
  added: OnnxCache['added'],
): OnnxCache | undefined {
  const [key, value] = [find(inputs, 'past_key'), find(inputs, 'past_value')]
  if (key === undefined || value === undefined) return undefined
  return {
    past: { key: tensorOf(key), value: tensorOf(value) },
    added,
    present: { key: tensorOf(required(outputs, 'present_key')), value: tensorOf(required(outputs, 'present_value')) },
  }
}

function scoresOf(outputs: readonly StoredTensor[], mode: number): OnnxScores | undefined {
  const stored = find(outputs, 'qk_matmul_output')
  const stage = (['products', 'softcapped', 'masked', 'weights'] as const)[mode]
  return stored && stage && { stage, values: tensorOf(stored) }
}

function rotationOf({ name, attributes, inputs, outputs }: StoredVector): OnnxRotation {
  const input = withHeads(required(inputs, 'X'), attributes['num_heads'])
  const positions = find(inputs, 'position_ids')
  const tableOf = (role: string): HostTensor => cacheRows(tensorOf(required(inputs, role)), positions)
  return {
    name,
    input,
    table: {
      cos: tableOf('cos_cache'),
      sin: tableOf('sin_cache'),
      layout: attributes['interleaved'] === 1 ? 'interleaved' : 'half',
      dim: attributes['rotary_embedding_dim'] || input.shape[3]!,
    },
    output: withHeads(required(outputs, 'Y'), attributes['num_heads']),
  }
}

/** Rows of a table [positions, pairs] by position, or as they are [batch, length, pairs]: [batch, 1, length, pairs]. */
function cacheRows(cache: HostTensor, positions: StoredTensor | undefined): HostTensor {
  const pairs = cache.shape.at(-1)!
  const [batch, length] = (positions?.dims ?? cache.shape) as [number, number]
  const rows = positions === undefined ? [toFloat64(cache)] : positions.data.map((row) => toFloat64(slice(cache, 0, row, row + 1)))
  return tensor(new Float32Array(rows.flatMap((row) => [...row])), [batch, 1, length, pairs])
}

/** [batch, length, heads · dim] and [batch, heads, length, dim] alike as the latter. */
function withHeads(stored: StoredTensor, heads: number | undefined): HostTensor {
  const view = tensorOf(stored)
  if (stored.dims.length === 4) return view
  if (heads === undefined) throw new Error(`${stored.role} has three axes, and no number of heads is given`)
  return splitHeads(view, heads)
}

function tensorOf({ dtype, dims, data }: StoredTensor): HostTensor {
  const kind: Dtype = dtype === 'int64' ? 'int32' : dtype
  return tensor(roundTo(data, kind), dims, { dtype: kind })
}

function find(tensors: readonly StoredTensor[], role: string): StoredTensor | undefined {
  return tensors.find((stored) => stored.role === role)
}

function required(tensors: readonly StoredTensor[], role: string): StoredTensor {
  const found = find(tensors, role)
  if (found === undefined) throw new Error(`the vector has no ${role}`)
  return found
}
