import type { ProblemSpec } from './problem.wgsl.ts'
import { addDot, chunkOrZeros, declareTile, declareWeights, finite, type TileShape, type Tiling } from './tiles.wgsl.ts'

/** The three tiles of a gradient kernel: vectors of its rows, of its columns, and a patch of weights for each pair. */
export function gradientTiles({ rowGroups, columns, depth }: Tiling): {
  row: TileShape
  column: TileShape
  weight: TileShape
} {
  return {
    row: { name: 'rowTile', groups: rowGroups, slots: depth / 32 },
    column: { name: 'columnTile', groups: columns, slots: depth / 32 },
    weight: { name: 'weightTile', groups: rowGroups, slots: columns / 8 },
  }
}

/** `queryAt`, `dOutputAt(batch, head, token, chunk)`, `keyAt`, `valueAt(batch, keyHead, key, chunk)` and the tiles. */
export function gradientTileFunctions(tile: Tiling, { headDim, valueDim }: ProblemSpec): string {
  const at = (
    name: string,
    dim: number,
    factor = '',
  ): string => `fn ${name}At(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f {
  return ${chunkOrZeros(name, `${name}Base(batch, head, row)`, dim)}${factor};
}`
  const { row, column, weight } = gradientTiles(tile)
  return `${[row, column].map(declareTile).join('\n')}
${declareWeights(weight)}
${at('query', headDim, ' * parameters.scale')}
${at('dOutput', valueDim)}
${at('key', headDim)}
${at('value', valueDim)}
${addDot}
fn finiteOnly(x: vec4f, needed: bool) -> vec4f {
  if (!needed) { return x; }
  return ${finite('x')};
}`
}

/** `fn store(base, chunk, dim, x)` into float32 rows without gaps. */
export function storeGradient(buffer: string, vectors: boolean): string {
  return vectors
    ? `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) { if (4 * chunk < dim) { ${buffer}[(base >> 2) + chunk] = x; } }`
    : `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) {
  for (var k = 0; k < min(4, dim - 4 * chunk); k++) { ${buffer}[base + 4 * chunk + k] = x[k]; }
}`
}
