import type { FloatDtype } from '@qkv/core'
import { declarations, type Kernel } from '../kernel.ts'
import { decodeBits, readBits } from '../snippets/bits.wgsl.ts'
import { mainOf } from '../snippets/main.wgsl.ts'
import { walk, walkParameters } from '../snippets/walk.wgsl.ts'

export interface QuantizeSpec {
  /** Of those before the vectors' own, as many as are walked; see `walk.wgsl`. */
  readonly axes: number
  readonly source: FloatDtype
  /** uint8: two elements a byte, the even one in the low bits, 8 above their value. */
  readonly target: 'int8' | 'uint8'
}

/**
 * Groups of elements as whole multiples of a scale of their own, one invocation per group:
 *
 *     scale = largest |x| / levels                127 for 8 bits, 7 for 4
 *     code = x / scale, to the nearest; halves up
 *
 * WGSL's division may be a few units in the last place off, and a cache should not depend on who wrote it. So both quotients are
 * of whole numbers: a float32 is significand · 2^(exponent − 150). Codes that share a word with others' are put there
 * atomically, as many at a time as lie in one word.
 */
export const quantize: Kernel<QuantizeSpec> = {
  name: 'quantize',

  interface: ({ axes }) => ({
    parameters: {
      count: 'i32',
      groups: 'i32',
      elements: 'i32',
      ...walkParameters(places, axes),
      // from one element of a vector to the next, or one scale of it
      sourceStep: 'i32',
      codesStep: 'i32',
      scalesStep: 'i32',
    },
    buffers: {
      source: { type: 'array<u32>', access: 'read' },
      codes: { type: 'array<atomic<u32>>', access: 'read_write' },
      scales: { type: 'array<u32>', access: 'read_write' },
    },
  }),

  code(spec) {
    const { axes, source, target } = spec
    const bits = target === 'int8' ? 8 : 4
    const levels = 2 ** (bits - 1) - 1
    return `${declarations(this.interface(spec))}
${readBits('source', source)}
${decodeBits('source', source)}

fn significandOf(x: u32) -> u32 { return (x & 0x7fffffu) | select(0x800000u, 0u, (x & 0x7f800000u) == 0u); }
fn exponentOf(x: u32) -> i32 { return max(i32((x >> 23u) & 0xffu), 1); }

/* largest / ${levels}, to the nearest even: 24 bits of a longer quotient, whose last bit says whether anything is left over. */
fn scaleOf(largest: u32) -> u32 {
  if (largest <= ${levels >> 1}u) { return 0u; }
  if (largest >= 0x7f800000u) { return largest; }
  let zeros = countLeadingZeros(significandOf(largest));
  let whole = significandOf(largest) << zeros;
  let quotient = whole / ${levels}u * 2u + min(whole % ${levels}u, 1u);
  let exponent = exponentOf(largest) - i32(zeros) - 1;
  let surplus = max(8 - i32(countLeadingZeros(quotient)), 1 - exponent);
  let rounding = (1u << u32(surplus - 1)) - 1u + ((quotient >> u32(surplus)) & 1u);
  return (u32(exponent + surplus - 1) << 23u) + ((quotient + rounding) >> u32(surplus));
}

fn codeOf(x: u32, scale: u32) -> i32 {
  let distance = exponentOf(x) - exponentOf(scale);
  if (scale == 0u || scale >= 0x7f800000u || distance < -1) { return 0; }
  let negative = x >> 31u;
  let divisor = significandOf(scale);
  let twice = significandOf(x) << u32(distance + 1);
  let code = i32(min((twice + divisor - negative) / (2u * divisor), ${levels}u));
  return select(code, -code, negative == 1u);
}

fn put(word: i32, mask: u32, bits: u32) {
  if (mask == 0u) { return; }
  if (mask == 0xffffffffu) { atomicStore(&codes[word], bits); return; }
  atomicAnd(&codes[word], ~mask);
  atomicOr(&codes[word], bits);
}

${mainOf('index')}
  if (index >= parameters.count) { return; }
  let group = index % parameters.groups;
  let first = group * parameters.elements;
  ${walk('index / parameters.groups', places, axes)}

  var largest = 0u;
  for (var c = first; c < first + parameters.elements; c++) { largest = max(largest, elementAt(sourceIndex, c) & 0x7fffffffu); }
  let scale = scaleOf(largest);
  scales[scalesIndex + group * parameters.scalesStep] = scale;

  var word = 0;
  var mask = 0u;
  var bits = 0u;
  for (var c = first; c < first + parameters.elements; c++) {
    let byte = codesIndex + ${bits === 8 ? 'c' : '(c >> 1u)'} * parameters.codesStep;
    let shift = 8u * u32(byte & 3)${bits === 8 ? '' : ' + 4u * u32(c & 1)'};
    let code = u32(codeOf(elementAt(sourceIndex, c), scale)${bits === 8 ? '' : ' + 8'}) & ${2 ** bits - 1}u;
    if (byte >> 2u != word) {
      put(word, mask, bits);
      word = byte >> 2u;
      mask = 0u;
      bits = 0u;
    }
    mask |= ${2 ** bits - 1}u << shift;
    bits |= code << shift;
  }
  put(word, mask, bits);
}

fn elementAt(row: i32, c: i32) -> u32 { return bitcast<u32>(sourceOf(sourceBits(row + c * parameters.sourceStep))); }
`
  },
}

const places = ['source', 'codes', 'scales'] as const
