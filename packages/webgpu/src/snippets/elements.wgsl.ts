import type { Dtype, FloatDtype } from '@qkv/core'
import type { BufferDeclaration } from '../kernel.ts'

/** How a kernel reaches a tensor's elements. */
export interface Access<D extends Dtype = Dtype> {
  readonly dtype: D
  /** Rows lie without gaps at multiples of four elements, and are read and written four at a time. */
  readonly vectors: boolean
}

/** Storage is declared in whole words: narrow elements are unpacked, so that no optional feature is needed. */
export function declareElements({ dtype, vectors }: Access, access: BufferDeclaration['access'] = 'read'): BufferDeclaration {
  if (dtype === 'float32') return { type: vectors ? 'array<vec4f>' : 'array<f32>', access }
  if (dtype === 'int32') return { type: 'array<i32>', access }
  return { type: vectors ? 'array<vec2u>' : 'array<u32>', access }
}

/** `fn {name}Element(index: i32) -> f32`: one element, counted from the start of the buffer. */
export function readElement(name: string, dtype: Dtype): string {
  return `fn ${name}Element(index: i32) -> f32 { return ${elementOf(name, dtype)}; }`
}

function elementOf(name: string, dtype: Dtype): string {
  switch (dtype) {
    case 'float32':
      return `${name}[index]`
    case 'float16':
      return `unpack2x16float(${name}[index >> 1])[index & 1]`
    case 'bfloat16':
      return `bitcast<f32>((${name}[index >> 1] >> (16u * u32(index & 1))) << 16)`
    case 'int32':
      return `f32(${name}[index])`
    case 'int8':
      return `f32(bitcast<i32>(${name}[index >> 2] << (24u - 8u * u32(index & 3))) >> 24)`
    default:
      return `f32((${name}[index >> 2] >> (8u * u32(index & 3))) & 0xffu)`
  }
}

/**
 * `fn {name}Vector(base: i32, chunk: i32) -> vec4f`: elements `4·chunk…` of the row of `dim` that starts at element
 * `base`, with zeros past its end. Without `vectors`, elements are `parameters.{name}Stride3` apart.
 */
export function readVector(name: string, { dtype, vectors }: Access<FloatDtype>, dim: number): string {
  if (vectors) {
    const whole = `${name}[(base >> 2) + chunk]`
    return `fn ${name}Vector(base: i32, chunk: i32) -> vec4f { ${unpackVector(whole, dtype)} }`
  }
  const lanes = [0, 1, 2, 3].map(
    (lane) => `if (4 * chunk + ${lane} < ${dim}) { x[${lane}] = ${name}Element(base + (4 * chunk + ${lane}) * stride); }`,
  )
  return `${readElement(name, dtype)}
fn ${name}Vector(base: i32, chunk: i32) -> vec4f {
  let stride = parameters.${name}Stride3;
  var x = vec4f();
  ${lanes.join('\n  ')}
  return x;
}`
}

function unpackVector(whole: string, dtype: FloatDtype): string {
  if (dtype === 'float32') return `return ${whole};`
  if (dtype === 'float16') return `let w = ${whole}; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));`
  return `let w = ${whole}; return bitcast<vec4f>(vec4u(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));`
}

/** `fn {name}Store(base: i32, chunk: i32, x: vec4f)`, the counterpart of {@link readVector}; without `vectors`, float32 only. */
export function writeVector(name: string, { dtype, vectors }: Access<FloatDtype>, dim: number): string {
  const head = `fn ${name}Store(base: i32, chunk: i32, x: vec4f)`
  if (vectors) {
    const packed = dtype === 'float32' ? 'x' : 'vec2u(packHalves(x.xy), packHalves(x.zw))'
    return `${dtype === 'float32' ? '' : packHalves(dtype)}
${head} { ${name}[(base >> 2) + chunk] = ${packed}; }`
  }
  const lanes = [0, 1, 2, 3].map(
    (lane) => `if (4 * chunk + ${lane} < ${dim}) { ${name}[base + (4 * chunk + ${lane}) * stride] = x[${lane}]; }`,
  )
  return `${head} {
  let stride = parameters.${name}Stride3;
  ${lanes.join('\n  ')}
}`
}

/**
 * `fn packHalves(x: vec2f) -> u32`. float16 is clamped first, since packing what overflows may give anything; bfloat16
 * rounds to nearest even by hand, since WGSL has no such type.
 */
export function packHalves(dtype: 'float16' | 'bfloat16'): string {
  if (dtype === 'float16') {
    return 'fn packHalves(x: vec2f) -> u32 { return pack2x16float(clamp(x, vec2f(-65504), vec2f(65504))); }'
  }
  return `fn packHalves(x: vec2f) -> u32 {
  let bits = bitcast<vec2u>(x);
  let rounded = (bits + 0x7fffu + ((bits >> vec2u(16)) & vec2u(1))) >> vec2u(16);
  return rounded.x | (rounded.y << 16);
}`
}
