export { blockMap, problemBlockMap, type BlockMapShape, type PrintableBlockMap } from './block-map.ts'
export { drawBlockMap, printBlockMap, type DrawingOptions } from './draw.ts'
export type { BlockMap, TileSize } from './map.ts'
export { sparsity, type Sparsity } from './sparsity.ts'
