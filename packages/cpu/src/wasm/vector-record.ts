/**
 * The record of what is done to the vectors of a tensor [batch, heads, length, elements]: for each part the byte it starts
 * at; tensors as in `record.ts`.
 */
export const input = 0
export const output = 24

/** Of `rotate`: [batch, heads, length, dim / 2], broadcast by strides of 0. */
export const cos = 48
export const sin = 72
/** Of `quantize`: [batch, heads, length, groups]; without gaps in a vector. */
export const scales = 48
/**
 * Of `merge`: the address of the whole's contiguous log-sum-exps; of each part's record, its log-sum-exps
 * [batch, heads, length]; and the address of the next part's record, in the whole's own that of the first.
 */
export const lse = 48
export const partLse = 48
export const nextPart = 72

export const heads = 96
export const length = 100
/** Of an input's vector. */
export const elements = 104
/** Of `rotate`: how many leading elements do, and which make a pair. */
export const dim = 108
export const layout = 112
/** Of `quantize`: how many groups there are. */
export const groups = 116

export const vectorRecordBytes = 120

/** Values of `layout`. */
export const half = 0
export const interleaved = 1
