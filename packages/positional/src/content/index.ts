/**
 * Encodings whose score change follows from queries and keys as well as from positions. Their terms are made on the host
 * before attention.
 */
export { cope, type CopeOptions } from './cope.ts'
export { decomposedGrid, type DecomposedGridOptions } from './decomposed-grid.ts'
export { disentangled, type DisentangledOptions } from './disentangled.ts'
export { relativeKey, relativeKeyQuery, type RelativeKeyOptions } from './relative-key.ts'
export { shaw, type ShawOptions } from './shaw.ts'
export { transformerXl, type TransformerXlOptions } from './transformer-xl.ts'
