/**
 * The record of an attention problem in linear memory, as the host writes it and the kernels read it: for each part the
 * byte it starts at. The kernels import this very file. Parts are 32 bits wide unless said otherwise; strides are in
 * bytes, an address of 0 means that there is none.
 */

/** How kernels cut pairs: keys of a tile, rows of a panel, and of a tile of the block map. */
export const tileKeys = 64
export const panelRows = 8
export const mapRows = 64

/** Float64. */
export const scale = 0

/** Tensors of four axes: address, dtype, then the strides of batch, head, row or key, and element. */
export const query = 8
export const output = 144
export const bias = 168
export const mask = 192
/** For gradients. */
export const dOutput = 216
export const forwardOutput = 240

/** Within a tensor. */
export const address = 0
export const dtype = 4
export const batchStride = 8
export const headStride = 12
export const rowStride = 16
export const elementStride = 20

/** Keys and values are each a tensor with what belongs to it at the same distances. */
export const key = 32
export const value = 88
/** A tensor, float32 [batch, keyHeads, keyLength, groups]. */
export const scales = 24
/** Elements that share a scale, and those of a vector. */
export const groupSize = 48
export const dim = 52

/** The sums of these. */
export const keyScales = 56
export const keyGroupSize = 80
export const headDim = 84
export const valueScales = 112
export const valueGroupSize = 136
export const valueDim = 140

/** Addresses of contiguous vectors: float32 [batch, queryHeads, queryLength], float32 [queryHeads], int32 [batch]. */
export const lse = 264
export const sinks = 268
export const lengths = 272

export const batch = 276
export const queryHeads = 280
export const keyHeads = 284
export const group = 288
export const queryLength = 292
export const keyLength = 296

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

/** Of the block map, tiles of `mapRows` rows and `tileKeys` keys: a byte each, and the plane of each head of each batch entry, int32. */
export const tileMap = 372
export const planes = 376

/** Of `gradient-sums.ts`: address of the sums, their bytes, and those from one part of the rows' sums to the next's. */
export const sums = 380
export const sumBytes = 384
export const copyBytes = 388
/** Addresses of two programs for each place where a score reads what is summed for: which element, and by how much. */
export const reads = 392
export const readCount = 396
/** How pairs are cut: parts of the batch entries and of the key heads, rows and keys of a part. */
export const batchParts = 400
export const headParts = 404
export const partRows = 408
export const partKeys = 412

export const recordBytes = 416

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
