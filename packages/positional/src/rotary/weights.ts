import { slice, zeros, type HostTensor } from '@qkv/core'
import { checkCount, checkEven, misshapen, refused } from '../refuse.ts'
import { checkLayout } from './rotary.ts'

export interface RotaryWeightOptions {
  /** Heads that the rows make: query heads for Wq, key heads for Wk. */
  readonly heads: number
  /** How many leading elements of each head rotate. Default all. */
  readonly dim?: number | undefined
  readonly from: 'half' | 'interleaved'
  readonly to: 'half' | 'interleaved'
}

/**
 * A projection's weight [heads·headDim, inputs] or bias [heads·headDim] for queries or keys, with the rows of each head in
 * the order of the other layout, so that rotary in that layout gives the same scores. Meta's and GGUF's Llama are
 * interleaved, Hugging Face's is half. Values take no part in rotary and stay as they are.
 */
export function convertRotaryWeight(weight: HostTensor, { heads, dim, from, to }: RotaryWeightOptions): HostTensor {
  const operation = 'convertRotaryWeight'
  checkLayout(operation, from)
  checkLayout(operation, to)
  const [rows = 0] = weight.shape
  const headDim = rows / checkCount(operation, 'heads', heads)
  if (weight.shape.length < 1 || weight.shape.length > 2 || !Number.isInteger(headDim)) {
    throw misshapen(operation, 'weight', `[${heads}·headDim, inputs] or [${heads}·headDim]`, weight.shape)
  }
  const rotating = checkEven(operation, 'dim', dim ?? headDim)
  if (rotating > headDim) throw refused(operation, 'dim', `at most the head dim ${headDim}`, rotating)

  const converted = zeros(weight.shape, weight.dtype)
  for (let row = 0; row < rows; row++) {
    const element = row % headDim
    const source = element < rotating ? row - element + elementIn(from, partOf(to, element, rotating), rotating) : row
    copyRow(weight, source, converted, row)
  }
  return converted
}

interface PairPart {
  readonly pair: number
  /** 0 for the first element of the pair, 1 for the second. */
  readonly part: number
}

function partOf(layout: 'half' | 'interleaved', element: number, dim: number): PairPart {
  if (layout === 'interleaved') return { pair: Math.floor(element / 2), part: element % 2 }
  return { pair: element % (dim / 2), part: Math.floor(element / (dim / 2)) }
}

function elementIn(layout: 'half' | 'interleaved', { pair, part }: PairPart, dim: number): number {
  return layout === 'interleaved' ? 2 * pair + part : pair + (part * dim) / 2
}

/** Bit for bit, whatever the dtype. */
function copyRow(source: HostTensor, from: number, target: HostTensor, to: number): void {
  const [, width = 1] = source.shape
  const [input, output] = [slice(source, 0, from, from + 1), slice(target, 0, to, to + 1)]
  for (let i = 0; i < width; i++) {
    output.storage[output.offset + i] = input.storage[input.offset + i * (input.strides[1] ?? 1)]!
  }
}
