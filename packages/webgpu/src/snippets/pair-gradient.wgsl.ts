import type { ProblemSpec } from './problem.wgsl.ts'

/**
 * `fn pairGradient(…)`: what one visible pair adds to the gradients, recomputed from the row's lse. With the weight
 * p = e^(score − lse), dropout's factor f, the gradient dP = f · dO · v of the weight, and δ = dO · o of the row:
 *
 *     d(changed score) = p · (dP − δ)
 *
 * and from there back through the score expression, the bias and the softcap to scale · q·k. `isSeen(at)` says whether
 * mask and bias show the pair. `slopeCode` is WGSL of `scoreSlope(at, score)`, the derivative of the score expression.
 */
export function pairGradient(spec: ProblemSpec, slopeCode: string | undefined): string {
  return `${slopeCode ?? ''}
/* weight: p · f. changed, biased, scaled: gradients of the score after the expression, before it, and of scale · q·k. */
struct PairGradient { weight: f32, changed: f32, biased: f32, scaled: f32, score: f32 }
/* row: the row's lse in powers of two, and its δ. */
fn pairGradient(scaled: f32, dWeight: f32, row: vec2f, at: Pair) -> PairGradient {
  var score = scaled;
  var g: PairGradient;
  ${
    spec.softcap
      ? `let t = accurateTanh(score / parameters.softcap);
  score = parameters.softcap * t;`
      : ''
  }
  ${spec.bias === undefined ? '' : 'score += biasAt(at);'}
  g.score = score;
  ${spec.scoreCode === undefined ? 'let changed = score;' : 'let changed = changeScore(at, score);'}
  let p = exp2(min(fma(changed, log2e, -row.x), 0.0)); /* No weight exceeds 1, however large the scores. */
  ${spec.dropout ? 'let factor = kept(at);' : ''}
  g.weight = p${spec.dropout ? ' * factor' : ''};
  g.changed = p * (dWeight${spec.dropout ? ' * factor' : ''} - row.y);
  g.biased = g.changed${slopeCode === undefined ? '' : ' * scoreSlope(at, score)'};
  g.scaled = g.biased${spec.softcap ? ' * (1.0 - t * t)' : ''};
  return g;
}
fn isSeen(at: Pair) -> bool { return isVisible(at)${spec.bias === undefined ? '' : ' && biasAt(at) > lowest'}; }`
}
