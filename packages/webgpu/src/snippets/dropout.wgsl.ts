/**
 * `fn kept(at: Pair) -> f32`: what dropout multiplies a pair's weight by, 0 or 1 / (1 − probability). The hash is core's
 * `dropoutHash`, bit for bit.
 */
export const dropout = `
fn mixBits(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}
fn kept(at: Pair) -> f32 {
  let plane = mixBits(mixBits(mixBits(bitcast<u32>(parameters.dropoutSeed)) + u32(at.batch)) + u32(at.head));
  let hash = mixBits(mixBits(plane + u32(at.row)) + u32(at.key));
  return select(parameters.dropoutFactor, 0.0, hash < bitcast<u32>(parameters.dropoutThreshold));
}`

/** Values of 32 unsigned bits travel as signed ones. */
export const dropoutParameters = { dropoutSeed: 'i32', dropoutThreshold: 'i32', dropoutFactor: 'f32' } as const
