import { slice, zeros, type HostTensor } from '@qkv/core'
import { checkCount, checkEven, checkOneOf, misshapen, refused } from '../refuse.ts'

export interface RotaryWeightOptions {
  /** Heads that the rows make: query heads for Wq, key heads for Wk. */
  readonly heads: number
  /** The layout to convert to; the weight is of the other. */
  readonly to: 'half' | 'interleaved'
  /** How many leading elements of each head rotate. Default all. */
  readonly dim?: number | undefined
}

/**
 * A projection's weight [heads·headDim, inputs] or bias [heads·headDim] for queries or keys, with the rows of each head in
 * the order of the other layout, so that rotary in that layout gives the same scores. Meta's and GGUF's Llama are
 * interleaved, Hugging Face's is half. Values take no part in rotary and stay as they are.
 */
export function convertRotaryWeight(weight: HostTensor, { heads, to, dim }: RotaryWeightOptions): HostTensor {
  const operation = 'convertRotaryWeight'
  checkOneOf(operation, 'to', to, ['half', 'interleaved'])
  const [rows = 0, width = 1] = weight.shape
  const headDim = rows / checkCount(operation, 'heads', heads)
  if (weight.shape.length < 1 || weight.shape.length > 2 || !Number.isInteger(headDim)) {
    throw misshapen(operation, 'weight', `[${heads}·headDim, inputs] or [${heads}·headDim]`, weight.shape)
  }
  const pairs = checkEven(operation, 'dim', dim ?? headDim) / 2
  if (2 * pairs > headDim) throw refused(operation, 'dim', `at most the head dim ${headDim}`, dim)

  /** Where an element of a converted head comes from. */
  const sourceOf = (element: number): number => {
    if (element >= 2 * pairs) return element
    return to === 'half' ? 2 * (element % pairs) + Math.floor(element / pairs) : Math.floor(element / 2) + pairs * (element % 2)
  }
  const converted = zeros(weight.shape, weight.dtype)
  for (let row = 0; row < rows; row++) {
    const element = row % headDim
    const source = row - element + sourceOf(element)
    const { storage, offset, strides } = slice(weight, 0, source, source + 1)
    for (let i = 0; i < width; i++) converted.storage[row * width + i] = storage[offset + i * (strides[1] ?? 0)]!
  }
  return converted
}
