import { QkvError, describe, tensor, type HostTensor } from '@qkv/core'
import type { BlockWeights, DecoderCheckpoint, LinearWeights, NormWeights } from '../decoder/weights.ts'

/**
 * Reads a checkpoint of llama2.c, layout "version 0", little-endian: seven int32 (below), then float32 tensors without
 * gaps, each kind for all layers together. The weights are views of the file; nothing is copied or allocated by what the
 * header claims before the file proves to hold it.
 *
 * @throws QkvError `FILE_MALFORMED` naming what the header should say, or how many bytes the file should have.
 */
export function readLlama2cCheckpoint(file: ArrayBuffer | Uint8Array): DecoderCheckpoint {
  const bytes = alignedBytes(file)
  const header = readHeader(bytes)
  const expected = BigInt(headerBytes) + 4n * floatsIn(header)
  if (BigInt(bytes.length) !== expected) throw malformed('file', `${expected} bytes, by its header`, `${bytes.length} bytes`)
  return layOut(header, new Float32Array(bytes.buffer, bytes.byteOffset + headerBytes))
}

/** The seven numbers as the file has them, in its order; a negative vocabulary size there means `separateHead`. */
interface Header {
  readonly modelDim: number
  readonly hiddenDim: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly vocabularySize: number
  readonly contextLength: number
  readonly separateHead: boolean
}

const headerBytes = 28
const epsilon = 1e-5

/** The file's tensors in its order. */
function layOut(header: Header, floats: Float32Array): DecoderCheckpoint {
  const { modelDim, hiddenDim, layers, heads, kvHeads, vocabularySize, contextLength, separateHead } = header
  const headDim = modelDim / heads
  let offset = 0
  const take = (...shape: number[]): HostTensor => {
    const count = shape.reduce((product, size) => product * size, 1)
    const taken = tensor(floats.subarray(offset, offset + count), shape)
    offset += count
    return taken
  }
  const eachLayer = (...shape: number[]): HostTensor[] => Array.from({ length: layers }, () => take(...shape))

  const embedding = take(vocabularySize, modelDim)
  const attentionNorms = eachLayer(modelDim)
  const queries = eachLayer(heads * headDim, modelDim)
  const keys = eachLayer(kvHeads * headDim, modelDim)
  const values = eachLayer(kvHeads * headDim, modelDim)
  const outputs = eachLayer(modelDim, heads * headDim)
  const feedForwardNorms = eachLayer(modelDim)
  const gates = eachLayer(hiddenDim, modelDim)
  const downs = eachLayer(modelDim, hiddenDim)
  const ups = eachLayer(hiddenDim, modelDim)
  const norm = rms(take(modelDim))
  // Cosines and sines of the rotary encoding, which we make ourselves.
  take(contextLength, headDim)
  const head = separateHead ? take(vocabularySize, modelDim) : embedding

  const blocks = Array.from({ length: layers }, (_, layer): BlockWeights => ({
    attentionNorm: rms(of(attentionNorms, layer)),
    attention: {
      'query.weight': of(queries, layer),
      'key.weight': of(keys, layer),
      'value.weight': of(values, layer),
      'output.weight': of(outputs, layer),
    },
    feedForwardNorm: rms(of(feedForwardNorms, layer)),
    feedForward: {
      kind: 'gated',
      activation: 'silu',
      gate: linear(of(gates, layer)),
      up: linear(of(ups, layer)),
      down: linear(of(downs, layer)),
    },
  }))
  return {
    sizes: { vocabularySize, contextLength, modelDim, heads, kvHeads, headDim },
    positions: { kind: 'rotary', layout: 'interleaved', base: 10_000 },
    embedding,
    blocks,
    norm,
    head: linear(head),
  }
}

function readHeader(bytes: Uint8Array): Header {
  if (bytes.length < headerBytes) throw malformed('file', `a header of ${headerBytes} bytes`, `${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const field = (index: number): number => view.getInt32(4 * index, true)
  const header = {
    modelDim: field(0),
    hiddenDim: field(1),
    layers: field(2),
    heads: field(3),
    kvHeads: field(4),
    vocabularySize: Math.abs(field(5)),
    contextLength: field(6),
    separateHead: field(5) < 0,
  }
  for (const [name, value] of Object.entries(header)) {
    if (value === true || value === false || value > 0) continue
    throw malformed(`file header, ${name}`, 'a whole number > 0', String(value))
  }
  const { modelDim, heads, kvHeads } = header
  if (modelDim % (2 * heads) !== 0) {
    throw malformed('file header, modelDim', `a multiple of twice the ${heads} heads (rotary turns pairs)`, String(modelDim))
  }
  if (heads % kvHeads !== 0) throw malformed('file header, heads', `a multiple of the ${kvHeads} key/value heads`, String(heads))
  return header
}

/** How many floats the header promises; in BigInt, since the products may exceed what a number counts exactly. */
function floatsIn({ modelDim, hiddenDim, layers, heads, kvHeads, vocabularySize, contextLength, separateHead }: Header): bigint {
  const count = (...sizes: number[]): bigint => sizes.reduce((product, size) => product * BigInt(size), 1n)
  const headDim = modelDim / heads
  const norms = count(2, modelDim)
  const attention = count(2, modelDim, modelDim) + count(2, kvHeads, headDim, modelDim)
  const feedForward = count(3, hiddenDim, modelDim)
  return (
    count(separateHead ? 2 : 1, vocabularySize, modelDim) +
    count(layers) * (norms + attention + feedForward) +
    count(modelDim) +
    count(contextLength, headDim)
  )
}

function rms(weight: HostTensor): NormWeights {
  return { kind: 'rms', weight, epsilon }
}

function linear(weight: HostTensor): LinearWeights {
  return { weight }
}

function of(tensors: readonly HostTensor[], layer: number): HostTensor {
  const found = tensors[layer]
  if (!found) throw new RangeError(`layer ${layer} of ${tensors.length}`)
  return found
}

/** The file's bytes at an address that floats can be read from: as they are, or else copied. */
function alignedBytes(file: unknown): Uint8Array<ArrayBuffer> {
  if (file instanceof ArrayBuffer) return new Uint8Array(file)
  if (file instanceof Uint8Array) {
    const aligned = file.byteOffset % 4 === 0 && file.buffer instanceof ArrayBuffer
    return aligned ? new Uint8Array(file.buffer, file.byteOffset, file.byteLength) : new Uint8Array(file)
  }
  throw new QkvError({
    code: 'OPTION_INVALID',
    operation,
    argument: 'file',
    expected: 'the file as an ArrayBuffer or Uint8Array',
    received: describe(file),
  })
}

const operation = 'readLlama2cCheckpoint'

function malformed(argument: string, expected: string, received: string): QkvError {
  return new QkvError({ code: 'FILE_MALFORMED', operation, argument, expected, received })
}
