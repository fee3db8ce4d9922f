export { blockMap, problemBlockMap, type BlockMapShape } from './block-map.ts'
export { drawBlockMap, type DrawingOptions } from './draw.ts'
export type { BlockMap, TileSize } from './map.ts'
export { sparsity, type Sparsity } from './sparsity.ts'
