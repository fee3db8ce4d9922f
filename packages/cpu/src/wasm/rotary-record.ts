/** The record of a rotation: for each part the byte it starts at; tensors as in `record.ts`. */
export const input = 0
export const output = 24
/** [batch, heads, length, dim / 2], broadcast by strides of 0. */
export const cos = 48
export const sin = 72
export const heads = 96
export const length = 100
export const headDim = 104
/** How many leading elements rotate. */
export const dim = 108
/** Which elements make a pair. */
export const layout = 112

export const rotaryRecordBytes = 116

/** Values of `layout`. */
export const half = 0
export const interleaved = 1
