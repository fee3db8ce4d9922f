import { tensor, type HostTensor } from '@qkv/core'
import { checkCount } from './refuse.ts'

/**
 * Positions [axes, 1, tokens] of the patches of an image or video, numbered row by row: `gridPositions([height, width])`,
 * `gridPositions([frames, height, width])`.
 */
export function gridPositions(sizes: readonly number[]): HostTensor {
  sizes.forEach((size, axis) => checkCount('gridPositions', `sizes[${axis}]`, size, 0))
  const tokens = sizes.reduce((product, size) => product * size, 1)
  const positions = new Int32Array(sizes.length * tokens)
  let step = tokens
  sizes.forEach((size, axis) => {
    step /= Math.max(1, size)
    for (let token = 0; token < tokens; token++) positions[axis * tokens + token] = Math.floor(token / step) % size
  })
  return tensor(positions, [sizes.length, 1, tokens])
}
