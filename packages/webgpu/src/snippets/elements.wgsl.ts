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

/** The parameters that say where a tensor of some axes lies in its buffer: `{name}Offset`, `{name}Stride0`, … */
export function declareStrides(name: string, axes = 4): Record<string, 'i32'> {
  const keys = [`${name}Offset`, ...Array.from({ length: axes }, (_, axis) => `${name}Stride${axis}`)]
  return Object.fromEntries(keys.map((key) => [key, 'i32']))
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

/** How many elements a vector has: known when it is compiled, or WGSL that says so. */
export type Dim = number | `parameters.${string}`

/**
 * `fn {name}Vector(base: i32, chunk: i32) -> vec4f`: elements `4·chunk…` of the row of `dim` that starts at element
 * `base`, with zeros past its end. Without `vectors`, elements are `parameters.{name}Stride3` apart.
 */
export function readVector(name: string, { dtype, vectors }: Access<FloatDtype>, dim: Dim): string {
  if (vectors) {
    const whole = `${name}[(base >> 2) + chunk]`
    return `fn ${name}Vector(base: i32, chunk: i32) -> vec4f { ${unpackVector(whole, dtype)} }`
  }
  return `${readElement(name, dtype)}
fn ${name}Vector(base: i32, chunk: i32) -> vec4f {
  ${gather(dim, (element) => `${name}Element(base + (${element}) * parameters.${name}Stride3)`)}
}`
}

/** `return` four elements, with zeros past the end of a row of `dim`. */
function gather(dim: Dim, read: (element: string) => string): string {
  return `var x = vec4f();
  for (var k = 0; k < min(4, ${dim} - 4 * chunk); k++) { x[k] = ${read('4 * chunk + k')}; }
  return x;`
}

function unpackVector(whole: string, dtype: FloatDtype): string {
  if (dtype === 'float32') return `return ${whole};`
  if (dtype === 'float16') return `let w = ${whole}; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));`
  return `let w = ${whole}; return bitcast<vec4f>(vec4u(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));`
}

/** Whole numbers of 8 or 4 bits with a scale for each `dim / groups` of them. */
export interface QuantisedAccess {
  /** uint8: two elements a byte, the even one in the low bits, 8 above their value. */
  readonly dtype: 'int8' | 'uint8'
  /** Rows lie without gaps, four elements in one word. */
  readonly vectors: boolean
  readonly groups: number
}

export function isQuantised(access: Access<FloatDtype> | QuantisedAccess): access is QuantisedAccess {
  return access.dtype === 'int8' || access.dtype === 'uint8'
}

/** As {@link readVector}; a base is where the row starts and where its scales do. */
export function readQuantised(name: string, { dtype, vectors, groups }: QuantisedAccess, dim: number): string {
  const stride = `parameters.${name}Stride3`
  const scale = (element: string): string =>
    `${name}Scales[base.y + ${groups === 1 ? '0' : `((${element}) / ${dim / groups}) * parameters.${name}ScalesStride3`}]`
  const oneScale = (dim / groups) % 4 === 0 || groups === 1
  const byte = (index: string): string => `(${name}[(${index}) >> 2] >> (8u * u32((${index}) & 3)))`
  const whole =
    dtype === 'int8'
      ? `let w = vec4i(bitcast<i32>(${name}[(base.x >> 2) + chunk])); return vec4f((w << vec4u(24, 16, 8, 0)) >> vec4u(24))`
      : `let at = base.x + 2 * chunk;
  let w = vec4u(${name}[at >> 2] >> (8u * u32(at & 2)));
  return (vec4f((w >> vec4u(0, 4, 8, 12)) & vec4u(15)) - 8.0)`
  if (vectors && oneScale) return `fn ${name}Vector(base: vec2i, chunk: i32) -> vec4f { ${whole} * ${scale('4 * chunk')}; }`
  const element =
    dtype === 'int8'
      ? `f32(bitcast<i32>(${byte(`base.x + c * ${stride}`)} << 24) >> 24)`
      : `f32((${byte(`base.x + (c >> 1) * ${stride}`)} >> (4u * u32(c & 1))) & 15) - 8.0`
  return `fn ${name}Element(base: vec2i, c: i32) -> f32 { return (${element}) * ${scale('c')}; }
fn ${name}Vector(base: vec2i, chunk: i32) -> vec4f {
  ${gather(dim, (at) => `${name}Element(base, ${at})`)}
}`
}

/** `fn {name}Store(base: i32, chunk: i32, x: vec4f)`, the counterpart of {@link readVector}; without `vectors`, float32 only. */
export function writeVector(name: string, { dtype, vectors }: Access<FloatDtype>, dim: Dim): string {
  const head = `fn ${name}Store(base: i32, chunk: i32, x: vec4f)`
  if (vectors) {
    const packed = dtype === 'float32' ? 'x' : 'vec2u(packHalves(x.xy), packHalves(x.zw))'
    return `${dtype === 'float32' ? '' : packHalves(dtype)}
${head} { ${name}[(base >> 2) + chunk] = ${packed}; }`
  }
  return `${head} {
  for (var k = 0; k < min(4, ${dim} - 4 * chunk); k++) { ${name}[base + (4 * chunk + k) * parameters.${name}Stride3] = x[k]; }
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

/** `fn finite(x: vec4f) -> vec4f`, zero wherever x is not finite: what nobody sees may be anything, and 0 · NaN is not 0. */
export const finite = `fn finite(x: vec4f) -> vec4f {
  return select(vec4f(), x, (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u));
}`
