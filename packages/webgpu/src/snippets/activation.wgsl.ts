import type { Activation } from '@qkv/core'
import { accurateTanh } from './tanh.wgsl.ts'

/** `fn {name}(x: f32) -> f32`, of names without hyphens. */
export const activations: Readonly<Record<Activation, string>> = {
  relu: 'fn relu(x: f32) -> f32 { return max(x, 0.0); }',
  silu: 'fn silu(x: f32) -> f32 { return x / (1.0 + exp(-max(x, -80.0))); }',
  gelu: `
/* erfc, relative error below 1.2e-7 wherever it is positive: the Chebyshev fit of Numerical Recipes (Press et al., 6.2.2),
   e^(−z² + polynomial in 1/(1 + z/2)). */
fn complementaryError(x: f32) -> f32 {
  let z = min(abs(x), 9.0);
  let t = 1.0 / (1.0 + 0.5 * z);
  var fit = fma(t, 0.17087277, -0.82215223);
  fit = fma(t, fma(t, fma(t, fit, 1.48851587), -1.13520398), 0.27886807);
  fit = fma(t, fma(t, fma(t, fit, -0.18628806), 0.09678418), 0.37409196);
  fit = fma(t, fma(t, fit, 1.00002368), -1.26551223);
  let y = t * exp(fma(-z, z, fit));
  return select(y, 2.0 - y, x < 0.0);
}
fn gelu(x: f32) -> f32 { return 0.5 * x * complementaryError(-x * 0.7071067811865476); }`,
  'gelu-tanh': `${accurateTanh}
fn gelutanh(x: f32) -> f32 {
  return 0.5 * x * (1.0 + accurateTanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}`,
}
