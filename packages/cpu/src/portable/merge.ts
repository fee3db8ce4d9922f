import type { HostPartial, HostTensor } from '@qkv/core'
import { forEachRow, loadRow, storeRow } from './rows.ts'

/**
 * The whole from its parts, row by row: each part's output weighs exp(its lse − the whole lse). A part that saw no key
 * (lse −∞) takes no part, whatever its output holds.
 */
export function merge(partials: readonly HostPartial[], output: HostTensor, lse: HostTensor): void {
  const dim = output.shape.at(-1)!
  const part = new Float64Array(dim)
  const whole = new Float64Array(dim)
  const outputs = partials.map((partial) => partial.output)
  const logs = [...partials.map((partial) => partial.lse), lse].map(withUnitAxis)
  forEachRow(output.shape, [...outputs, output, ...logs], (starts) => {
    const logOf = (index: number): number => partials[index]!.lse.storage[starts[partials.length + 1 + index]!]!
    const m = partials.reduce((highest, _, index) => Math.max(highest, logOf(index)), -Infinity)
    const sum = partials.reduce((total, _, index) => total + (m === -Infinity ? 0 : Math.exp(logOf(index) - m)), 0)
    whole.fill(0)
    partials.forEach((partial, index) => {
      if (logOf(index) === -Infinity) return
      const weight = Math.exp(logOf(index) - m) / sum
      loadRow(partial.output, starts[index]!, part)
      for (let c = 0; c < dim; c++) whole[c]! += weight * part[c]!
    })
    storeRow(output, starts[partials.length]!, whole)
    lse.storage[starts[2 * partials.length + 1]!] = m + Math.log(sum)
  })
}

function withUnitAxis(tensor: HostTensor): HostTensor {
  return { ...tensor, shape: [...tensor.shape, 1], strides: [...tensor.strides, 0] }
}
