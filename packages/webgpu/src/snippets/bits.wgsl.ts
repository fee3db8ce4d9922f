import type { Dtype } from '@qkv/core'
import { packHalves } from './elements.wgsl.ts'

/** How many elements of a dtype share a 32-bit word. */
export const elementsPerWord: Readonly<Record<Dtype, number>> = {
  float32: 1,
  int32: 1,
  float16: 2,
  bfloat16: 2,
  int8: 4,
  uint8: 4,
  bool: 4,
}

/** `fn {name}Bits(index: i32) -> u32`: the bits of one element, in the low end of the word. */
export function readBits(name: string, dtype: Dtype): string {
  const per = elementsPerWord[dtype]
  const bits =
    per === 1 ? `${name}[index]` : `(${name}[index / ${per}] >> u32(${32 / per} * (index % ${per}))) & ${2 ** (32 / per) - 1}u`
  return `fn ${name}Bits(index: i32) -> u32 { return ${bits}; }`
}

/** `fn {name}Of(bits: u32) -> f32`: the value of an element. */
export function decodeBits(name: string, dtype: Dtype): string {
  const value: Record<Dtype, string> = {
    float32: 'bitcast<f32>(bits)',
    int32: 'f32(bitcast<i32>(bits))',
    float16: 'unpack2x16float(bits).x',
    bfloat16: 'bitcast<f32>(bits << 16)',
    int8: 'f32(bitcast<i32>(bits << 24) >> 24)',
    uint8: 'f32(bits)',
    bool: 'f32(bits)',
  }
  return `fn ${name}Of(bits: u32) -> f32 { return ${value[dtype]}; }`
}

/** `fn encode(x: f32) -> u32`: the bits of an element, rounded to nearest; whole numbers saturate. */
export function encodeBits(dtype: Dtype): string {
  const bits: Record<Dtype, string> = {
    float32: 'bitcast<u32>(x)',
    int32: 'bitcast<u32>(i32(round(x)))',
    float16: 'packHalves(vec2f(x, 0)) & 0xffffu',
    bfloat16: 'packHalves(vec2f(x, 0)) & 0xffffu',
    int8: 'bitcast<u32>(i32(clamp(round(x), -128, 127))) & 0xffu',
    uint8: 'u32(clamp(round(x), 0, 255))',
    bool: 'select(0u, 1u, x != 0)',
  }
  return `${dtype === 'float16' || dtype === 'bfloat16' ? packHalves(dtype) : ''}
fn encode(x: f32) -> u32 { return ${bits[dtype]}; }`
}
