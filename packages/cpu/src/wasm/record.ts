/**
 * The record of an attention problem in linear memory, as the host writes it and the kernels read it: for each part the
 * byte it starts at. The kernels import this very file. Parts are 32 bits wide unless said otherwise; strides are in
 * bytes, an address of 0 means that there is none.
 */

/** Float64. */
export const scale = 0

/** Tensors of four axes: address, dtype, then the strides of batch, head, row or key, and element. */
export const query = 8
export const key = 32
export const value = 56
export const output = 80
export const bias = 104
export const mask = 128
/** Float32 [batch, keyHeads, keyLength, groups]. */
export const keyScales = 152
export const valueScales = 176
/** For gradients. */
export const dOutput = 200
export const forwardOutput = 224

/** Within a tensor. */
export const address = 0
export const dtype = 4
export const batchStride = 8
export const headStride = 12
export const rowStride = 16
export const elementStride = 20

/** Addresses of contiguous vectors: float32 [batch, queryHeads, queryLength], float32 [queryHeads], int32 [batch]. */
export const lse = 248
export const sinks = 252
export const lengths = 256

export const batch = 260
export const queryHeads = 264
export const keyHeads = 268
export const group = 272
export const queryLength = 276
export const keyLength = 280
export const headDim = 284
export const valueDim = 288
/** Elements that share a scale. */
export const keyGroupSize = 292
export const valueGroupSize = 296

/** Float32; 0 = none. */
export const softcap = 300
/** 1 where the first row stands at key 0, 0 where the last row stands at the last valid key. */
export const upperLeft = 304
/** Keys to either side of a query's position; what is unbounded is a number larger than any length. */
export const windowLeft = 308
export const windowRight = 312

/** Dropout: hashes below the threshold are dropped (0 = none), the others' weights multiplied by float32 `dropoutScale`. */
export const dropoutThreshold = 316
export const dropoutSeed = 320
export const dropoutScale = 324

/** Addresses of programs of `expression.ts`. */
export const scoreProgram = 328
export const maskProgram = 332
/** For gradients: the score expression's derivative by the score. */
export const slopeProgram = 360
/** Addresses of the gradients of keys and values, float32 without gaps. */
export const dKey = 364
export const dValue = 368

/** How the work is cut: rows of a query tile, tiles of the rows of one key head, keys of a split, splits of the keys. */
export const tileRows = 336
export const tiles = 340
export const splitKeys = 344
export const splits = 348
/** Address of what splits leave to be merged; for gradients, of D of each row. */
export const partials = 352
/** Bytes of each thread's expression registers. */
export const registerBytes = 356

/** Of the block map, tiles of 64 rows and 64 keys: a byte each, and the plane of each head of each batch entry, int32. */
export const tileMap = 372
export const planes = 376

export const recordBytes = 384

/** What a tile of the block map is. */
export const emptyTile = 0
export const fullTile = 1
export const partialTile = 2

/** Numbers of dtypes. */
export const float32 = 0
export const float16 = 1
export const bfloat16 = 2
export const int8 = 3
/** 4-bit elements, two a byte. */
export const int4 = 4
export const bool = 5
export const int32 = 6
export const uint8 = 7
