import { isHostTensor, type Tensor } from '@qkv/core'

/** Shows what an example found: whether two ways to the same numbers agree, and whether what was handed over is on the device. */
export function show(name: string, ours: ArrayLike<number>, theirs: ArrayLike<number>, handedOver: readonly Tensor[]): void {
  const differences = Array.from(ours, (element, index) => Math.abs(element - (theirs[index] ?? NaN)))
  const worst = Math.max(...differences, ours.length === theirs.length ? 0 : NaN)
  const element = document.querySelector('#result')
  if (element) element.textContent = `${name}: ${ours.length} numbers, largest difference ${worst}`
  document.body.dataset['shared'] = String(handedOver.length > 0 && !handedOver.some(isHostTensor))
  document.body.dataset['worst'] = String(worst)
}

/** Numbers between −1 and 1, always the same. */
export function numbers(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, index) => Math.sin(index * 12.9898) ** 3)
}
