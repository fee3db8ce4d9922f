/** What an element is. Halves are kept as their 16 bits; booleans as 0 and 1 in a byte. */
export type Dtype = 'float32' | 'float16' | 'bfloat16' | 'int8' | 'uint8' | 'int32' | 'bool'

export type FloatDtype = 'float32' | 'float16' | 'bfloat16'

/** The typed array that holds each dtype in JavaScript. */
export interface ArrayOf {
  float32: Float32Array
  float16: Uint16Array
  bfloat16: Uint16Array
  int8: Int8Array
  uint8: Uint8Array
  int32: Int32Array
  bool: Uint8Array
}

export type TypedArray = ArrayOf[Dtype]

export const bytesPerElement: Readonly<Record<Dtype, number>> = {
  float32: 4,
  float16: 2,
  bfloat16: 2,
  int8: 1,
  uint8: 1,
  int32: 4,
  bool: 1,
}

export const arrayConstructors: {
  readonly [D in Dtype]: {
    new (length: number): ArrayOf[D]
    new (values: ArrayLike<number>): ArrayOf[D]
    new (buffer: ArrayBufferLike, byteOffset?: number, length?: number): ArrayOf[D]
  }
} = {
  float32: Float32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int32: Int32Array,
  bool: Uint8Array,
}

export const dtypes = /* @__PURE__ */ Object.keys(bytesPerElement) as readonly Dtype[]

export function isFloat(dtype: Dtype): dtype is FloatDtype {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16'
}
