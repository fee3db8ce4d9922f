/**
 * The records of the layer operations, as `record.ts` has that of attention: for each part the byte it starts at.
 * Strides are in bytes, an address of 0 means that there is none.
 */

/** A matrix: address, dtype, bytes between rows and between elements. */
export const address = 0
export const dtype = 4
export const rowStride = 8
export const elementStride = 12

export const input = 0
export const weight = 16
export const bias = 32
export const output = 48

/** Rows of input and output, elements of an input's row, elements of an output's row. */
export const rows = 64
export const inputs = 68
export const outputs = 72

/** How the output is cut: rows and columns of a tile, and how many tiles lie beside each other. */
export const tileRows = 76
export const tileColumns = 80
export const columnTiles = 84

/** Float32: what a norm adds to the mean square. */
export const epsilon = 88
/** Of `activate` and `combine`: which. */
export const operation = 92

export const layerRecordBytes = 96

/** What one unit takes: rows of a norm or of gathered ones, elements of an activation, a sum or a product. */
export const unitRows = 16
export const unitElements = 4096
/** As many rows as `linearRows` takes; more of them are `linear`'s. */
export const fewRows = 8

/** Values of `operation`. */
export const silu = 0
export const relu = 1
export const geluTanh = 2
export const gelu = 3
export const add = 4
export const multiply = 5
/** Norms: whether the mean is taken off. */
export const rootMeanSquare = 0
export const meanAndDeviation = 1
