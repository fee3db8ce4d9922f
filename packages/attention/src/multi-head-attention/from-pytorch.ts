import { slice, type Tensor } from '@qkv/core'
import { checkCount, checkShape, invalid } from '../refuse.ts'
import type { MultiHeadAttentionOptions } from './options.ts'

/**
 * Options for a `MultiHeadAttention` that computes what PyTorch's `nn.MultiheadAttention` with this state computes, from
 * its `state_dict()` as named tensors: `in_proj_weight` or the three of `kdim` and `vdim`, `in_proj_bias`, `out_proj`.
 *
 *     const layer = new MultiHeadAttention({ backend, ...fromPyTorch(state, { heads: 8 }) })
 *
 * A state does not say whether the module was made with `add_zero_attn`, which has no counterpart here either.
 *
 * @throws QkvError `OPTION_INVALID` naming what is missing, or what has no counterpart here (`bias_k`, `bias_v`, a `vdim` of its own).
 */
export function fromPyTorch(
  state: Readonly<Record<string, Tensor>>,
  { heads }: { readonly heads: number },
): Omit<MultiHeadAttentionOptions, 'backend'> {
  const operation = 'fromPyTorch'
  checkCount(operation, 'heads', heads)
  const named = (name: string): Tensor => {
    const found = state[name]
    if (found !== undefined) return found
    throw invalid(operation, `state['${name}']`, 'a tensor', 'nothing')
  }
  for (const name of ['bias_k', 'bias_v']) {
    if (state[name] !== undefined) throw invalid(operation, `state['${name}']`, 'absent (add_bias_kv=False)', 'a tensor')
  }
  const output = named('out_proj.weight')
  checkShape(operation, "state['out_proj.weight']", output.shape, [-1, output.shape[0] ?? 0])
  const [modelDim = 0] = output.shape
  const separate = state['in_proj_weight'] === undefined
  const rows = (view: Tensor, part: number): Tensor => slice(view, 0, part * modelDim, (part + 1) * modelDim)
  const weights: Record<string, Tensor> = { 'output.weight': output }
  const parts = ['query', 'key', 'value'] as const
  if (!separate) checkShape(operation, "state['in_proj_weight']", named('in_proj_weight').shape, [3 * modelDim, modelDim])
  parts.forEach((part, index) => {
    weights[`${part}.weight`] = separate ? named(`${part[0]}_proj_weight`) : rows(named('in_proj_weight'), index)
    if (state['in_proj_bias'] !== undefined) weights[`${part}.bias`] = rows(state['in_proj_bias'], index)
  })
  if (state['out_proj.bias'] !== undefined) weights['output.bias'] = state['out_proj.bias']
  const memoryDim = weights['key.weight']?.shape[1] ?? 0
  const valueInputs = weights['value.weight']?.shape[1] ?? 0
  if (memoryDim !== valueInputs) {
    throw invalid(operation, 'state', `kdim and vdim that are equal`, `${memoryDim} and ${valueInputs}`)
  }
  const bias = biasOf(state['in_proj_bias'] !== undefined, state['out_proj.bias'] !== undefined)
  return { modelDim, memoryDim, heads, bias, weights }
}

function biasOf(inputs: boolean, output: boolean): MultiHeadAttentionOptions['bias'] {
  if (inputs && output) return true
  if (inputs) return 'inputs'
  return output ? 'output' : false
}
