import { maskMod } from '../expression/build.ts'
import { captureOf } from '../expression/capture-of.ts'
import type { MaskMod } from '../expression/node.ts'
import type { HostTensor } from '../tensor.ts'

/**
 * Every query sees the first `length` keys; `or(prefix(n), causal())` is a prefix language model.
 *
 * @param length one for all batch entries, or int32 [batch]
 */
export function prefix(length: number | HostTensor | readonly number[]): MaskMod {
  if (typeof length === 'number') return maskMod(({ key }) => key.lt(length))
  const lengths = captureOf('int', length)
  return maskMod(({ batch, key }) => key.lt(lengths.at(batch)))
}
