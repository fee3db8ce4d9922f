/** The dot product of four elements, added to a sum: four multiply-adds, each with one rounding. */
export const addDot = `
fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }`

/** `x / divisor` of what is not negative, by a power of two, in one instruction. */
export function quotient(x: string, divisor: number): string {
  return divisor === 1 ? x : `(${x} >> ${Math.log2(divisor)}u)`
}

/** `x % divisor` of what is not negative, by a power of two, in one instruction. */
export function remainder(x: string, divisor: number): string {
  return `(${x} & ${divisor - 1})`
}

/** WGSL of a product, or of a sum, of which one may be known when a shader is written. */
export function times(x: string, factor: number): string {
  return factor === 1 ? x : `(${x} * ${factor})`
}

export function plus(x: string, y: string): string {
  if (x === '0') return y
  return y === '0' ? x : `${x} + ${y}`
}
