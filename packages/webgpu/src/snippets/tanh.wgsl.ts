/**
 * tanh to float32 accuracy everywhere: WGSL's own may be off by 1e-5, and by anything where its exponentials overflow.
 * Below ½ the Taylor series of tanh(x)/x up to x¹², above it 1 − 2/(e²ˣ + 1).
 */
export const accurateTanh = `
fn accurateTanh(x: f32) -> f32 {
  let a = min(abs(x), 10.0);
  if (a < 0.5) {
    let y = x * x;
    var series = fma(y, 21844.0 / 6081075.0, -1382.0 / 155925.0);
    series = fma(y, fma(y, fma(y, series, 62.0 / 2835.0), -17.0 / 315.0), 2.0 / 15.0);
    return x * fma(y, fma(y, series, -1.0 / 3.0), 1.0);
  }
  return sign(x) * (1.0 - 2.0 / (exp(2.0 * a) + 1.0));
}`
