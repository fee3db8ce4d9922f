import type { AttentionGradient, AttentionProblem, HostTensor, Partial, Tensor } from '@qkv/core'
import { hostView } from '../memory/storage.ts'
import { keyGradients } from './gradient-keys.ts'
import { queryGradients } from './gradient-queries.ts'
import { makeGradientSetting, type GradientSetting } from './gradient-setting.ts'
import { hostProblem } from './host-problem.ts'
import { weightFromLse } from './pair-gradients.ts'
import type { GradientSum } from './score-gradient.ts'
import { elementOf } from './vectors.ts'

/**
 * The gradient of attention by tiles, in float64, from nothing but the forward's output and lse: weights are computed
 * again. With D = Σ dO∘o of each row,
 *
 *     p  = exp(s − lse)               dV = pᵀ·dO
 *     dp = dO·vᵀ                      ds = p∘(dp − D), then back through score expression, bias and softcap
 *     dQ = scale·ds·k                 dK = scale·dsᵀ·q
 *
 * in two passes, over tiles of queries for dQ and over tiles of keys for dK and dV, so that each sum is one loop's own
 * and always of the same order. Dao et al., FlashAttention (2022), algorithm 4, with the loop over pairs run twice.
 */
export function attentionGradient(problem: AttentionProblem, forward: Partial, dOutput: Tensor, target: AttentionGradient): void {
  const setting = makeGradientSetting(
    hostProblem(problem),
    { output: hostView(forward.output), lse: hostView(forward.lse) },
    hostView(dOutput),
  )
  queryGradients(setting, hostView(target.dQuery))
  keyGradients(setting, hostView(target.dKey), hostView(target.dValue))
  if (target.dSinks !== undefined) sinkGradients(setting, hostView(target.dSinks))
  if (target.dBias !== undefined && setting.sums.bias !== undefined) store(setting.sums.bias, hostView(target.dBias))
  for (const [captured, gradient] of target.captured) store(setting.sums.captured.get(captured)!, hostView(gradient))
}

/** A sink's weight has no value, so it only takes: dsink = Σ −exp(sink − lse)·D over the rows of its head. */
function sinkGradients({ problem, lse, delta }: GradientSetting, dSinks: HostTensor): void {
  const { sinks, batch, queryHeads, queryLength } = problem
  if (sinks === undefined) return
  for (let head = 0; head < queryHeads; head++) {
    const sink = elementOf(sinks, head)
    let sum = 0
    for (let entry = 0; entry < batch && sink !== -Infinity; entry++) {
      const start = (entry * queryHeads + head) * queryLength
      for (let at = start; at < start + queryLength; at++) sum -= weightFromLse(sink, lse[at]!) * delta[at]!
    }
    dSinks.storage[dSinks.offset + head] = sum
  }
}

function store({ sum }: GradientSum, { storage, offset }: HostTensor): void {
  storage.set(sum, offset)
}
