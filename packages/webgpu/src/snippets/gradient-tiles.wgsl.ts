import { finite } from './elements.wgsl.ts'
import type { ProblemSpec } from './problem.wgsl.ts'
import { multiplyColumns, planColumns, storeWeights, type ColumnPlan } from './tile-columns.wgsl.ts'
import { addDot } from './arithmetic.wgsl.ts'
import { chunkOrZeros, declareTile, inPhases, multiplyRows, patchOf, stageRows } from './tiles.wgsl.ts'
import { tilesOf, type TileShape, type Tiling } from './tiling.ts'

/** WGSL that calls `read`, one of the functions of {@link gradientTileFunctions}, for a chunk of row `part` of a group. */
export type ReadTile = (read: string, group: string, part: string, chunk: string) => string

/**
 * What the two gradient kernels do with their tiles, whose rows and columns are queries and keys, or keys and queries: an
 * invocation owns four rows, apart by the number of row groups, and four columns, one after the other.
 */
export interface GradientTiles {
  readonly rows: number
  readonly columns: number
  readonly invocations: number
  /** `let lane`, `column` and `rowGroup` of an invocation. */
  readonly places: string
  /** `sum[r][j] += row r · column j` of vectors with `dim` elements. */
  scores(dim: number, left: string, right: string, sum: string): string
  /** Puts vector `value` of row `r`, of four columns, where `weigh` reads it. */
  store(value: string): string
  /** How many bands of a vector with `dim` elements an invocation has, and `sum[band][r] += stored weights · columns`. */
  bands(dim: number): number
  weigh(dim: number, read: string, sum: string, hides?: string): string
}

export function gradientTiles(tile: Tiling, readRow: ReadTile, readColumn: ReadTile): GradientTiles {
  const { rowGroups, columns, depth } = tile
  const invocations = rowGroups * columns
  const { row, column, weight } = tilesOf(tile)
  const plan = (dim: number): ColumnPlan => planColumns(column, Math.ceil(dim / 4))
  return {
    rows: 4 * rowGroups,
    columns: 4 * columns,
    invocations,
    places: patchOf(columns),
    scores: (dim, left, right, sum) =>
      inPhases(
        dim,
        depth,
        (first, slots) => `workgroupBarrier();
    ${stageRows(row, slots, invocations, ({ group, part, chunk }) => readRow(left, group, part, `${first} + ${chunk}`))}
    ${stageRows(column, slots, invocations, ({ group, part, chunk }) => readColumn(right, group, part, `${first} + ${chunk}`))}
    workgroupBarrier();
    ${multiplyRows(row, column, slots, () => `${sum}[r]`)}`,
      ),
    store: (value) => storeWeights(weight, value),
    bands: (dim) => plan(dim).bands,
    weigh: (dim, read, sum, hides) =>
      multiplyColumns(
        {
          weights: weight,
          tile: column,
          plan: plan(dim),
          invocations,
          ...(hides === undefined ? {} : { hides }),
          vector: ({ group, part, chunk }) => readColumn(read, `(filling * ${plan(dim).groups} + ${group})`, part, chunk),
        },
        sum,
      ),
  }
}

/** `queryAt`, `dOutputAt(batch, head, token, chunk)`, `keyAt`, `valueAt(batch, keyHead, key, chunk)` and the tiles. */
export function gradientTileFunctions(tile: Tiling, { headDim, valueDim }: ProblemSpec): string {
  const at = (name: string, dim: number, factor = ''): string => {
    const chunk = chunkOrZeros(name, `${name}Base(batch, head, row)`, dim)
    return `fn ${name}At(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f { return ${chunk}${factor}; }`
  }
  return `${Object.values<TileShape>({ ...tilesOf(tile) })
    .map(declareTile)
    .join('\n')}
${at('query', headDim, ' * parameters.scale')}
${at('dOutput', valueDim)}
${at('key', headDim)}
${at('value', valueDim)}
${addDot}
${finite}`
}

/** `fn store(base, chunk, dim, x)` into float32 rows without gaps. */
export function storeGradient(buffer: string, vectors: boolean): string {
  return vectors
    ? `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) { if (4 * chunk < dim) { ${buffer}[(base >> 2) + chunk] = x; } }`
    : `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) {
  for (var k = 0; k < min(4, dim - 4 * chunk); k++) { ${buffer}[base + 4 * chunk + k] = x[k]; }
}`
}
