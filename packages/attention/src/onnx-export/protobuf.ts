/**
 * Writes protocol buffers: a message is its fields one after another, each a number that says which field and how it is
 * encoded, and then its content (protobuf.dev, Encoding). Only what ONNX models need.
 */
export type Field = readonly Uint8Array[]

/** A whole number. */
export function integer(field: number, value: number | bigint): Field {
  return [key(field, 0), varint(BigInt(value))]
}

export function float(field: number, value: number): Field {
  return [key(field, 5), new Uint8Array(Float32Array.of(value).buffer)]
}

export function text(field: number, value: string): Field {
  return bytes(field, new TextEncoder().encode(value))
}

export function bytes(field: number, content: Uint8Array): Field {
  return [key(field, 2), varint(BigInt(content.length)), content]
}

/** A message within a message. */
export function message(field: number, ...fields: readonly Field[]): Field {
  const parts = fields.flat()
  return [key(field, 2), varint(BigInt(lengthOf(parts))), ...parts]
}

/** The whole, as it is stored. */
export function written(...fields: readonly Field[]): Uint8Array {
  const parts = fields.flat()
  const whole = new Uint8Array(lengthOf(parts))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function key(field: number, encoding: 0 | 2 | 5): Uint8Array {
  return varint(BigInt((field << 3) | encoding))
}

/** Seven bits a byte, the lowest first; all but the last byte have their top bit set. */
function varint(value: bigint): Uint8Array {
  const groups: number[] = []
  let rest = BigInt.asUintN(64, value)
  while (rest > 127n) {
    groups.push(Number(rest & 127n) | 128)
    rest >>= 7n
  }
  return Uint8Array.from([...groups, Number(rest)])
}

function lengthOf(parts: readonly Uint8Array[]): number {
  return parts.reduce((length, part) => length + part.length, 0)
}
