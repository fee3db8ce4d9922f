export { blockMap, problemBlockMap, type BlockMap, type BlockMapShape, type TileSize } from './block-map.ts'
export { drawBlockMap, type DrawingOptions } from './draw.ts'
export { sparsity, type Sparsity } from './sparsity.ts'
