import { plus, quotient, remainder, times } from './arithmetic.wgsl.ts'
import { placeOf, type StagedVector } from './tiles.wgsl.ts'
import type { TileShape } from './tiling.ts'

/**
 * How rows of values lie in a tile that is made for columns, when they are read across: an invocation takes every
 * `columns`-th chunk of them, a band. A filling has `groups` groups of four rows. Row `k` of a group and band is a stretch of
 * `columns` chunks; of the four stretches of an array, `near` belong to neighbouring groups and `4 / near` to different bands.
 */
export interface ColumnPlan {
  readonly bands: number
  readonly groups: number
  readonly fillings: number
  readonly near: number
  /** Bands that lie in different arrays. */
  readonly deep: number
}

export function planColumns({ groups: columns, parts, slots }: TileShape, chunks: number): ColumnPlan {
  const bands = Math.ceil(chunks / columns)
  const groups = Math.min(columns, 2 ** Math.floor(Math.log2((parts * slots) / bands)))
  const near = Math.min(4, groups)
  return { bands, groups, fillings: columns / groups, near, deep: Math.ceil((bands * near) / 4) }
}

/** Puts an invocation's weights of its rows and of four columns, vector `value` of row `r`, where {@link multiplyColumns} reads them. */
export function storeWeights(weights: TileShape, value: string): string {
  return `${weights.name}[column >> 2u][r][${placeOf(weights, 'rowGroup', '(column & 3)')}] = ${value};`
}

/** The group of four and the row of it that an invocation stages first. */
export function firstOfColumns(tile: TileShape, { near }: ColumnPlan, invocations: number): { group: string; part: string } {
  return {
    group: remainder(quotient('lane', tile.groups), near),
    part: invocations === 4 * tile.groups ? '0' : quotient('lane', 4 * tile.groups),
  }
}

export interface WeightedColumns {
  readonly weights: TileShape
  readonly tile: TileShape
  readonly plan: ColumnPlan
  readonly invocations: number
  /** Of row `part` of a group of four, counted within a filling, number `filling`. */
  readonly vector: StagedVector
  /** WGSL of whether what is staged may be anything, so that `finite` is called. */
  readonly hides?: string
}

/**
 * `sum[band][r] += weights of row r · values`, for the chunks of the values that are this invocation's: of two bands, 16 loads
 * for 256 multiply-adds with eight rows, 12 for 128 with four. What an invocation stages it reads at once, and before it waits.
 */
export function multiplyColumns(columns: WeightedColumns, sum: string): string {
  const { weights, tile, plan, invocations, vector, hides } = columns
  const { near, deep } = plan
  const first = firstOfColumns(tile, plan, invocations)
  const together = invocations / (4 * tile.groups)
  const cells = cellsOf(plan)
  const count = (4 * cells.length) / together
  const beside = quotient(remainder(quotient('lane', tile.groups), 4), near)
  const chunkOf = (band: number): string => {
    const first = near === 4 ? String(band * tile.groups) : `(${beside} * ${deep} + ${band}) * ${tile.groups}`
    return plus(first, remainder('lane', tile.groups))
  }
  const eachOwn = (code: (cell: Cell, staged: string) => string): string =>
    `for (var i = 0; i < ${4 / together}; i++) {
        let k = ${plus(times('i', together), first.part)};
        ${cells.map((cell, index) => code(cell, `staged[${plus('i', String((index * 4) / together))}]`)).join('\n        ')}
      }`
  const read = ({ far, band }: Cell): string =>
    vector({
      group: `(${plus(String(near * far), first.group)})`,
      part: 'k',
      chunk: chunkOf(band),
      step: plus(String(4 * near * far), times('i', together)),
    })
  return `for (var filling = 0; filling < ${plan.fillings}; filling++) {
      var staged: array<vec4f, ${count}>;
      ${eachOwn((cell, staged) => `${staged} = ${read(cell)};`)}
      ${hides === undefined ? '' : `if (${hides}) { for (var i = 0; i < ${count}; i++) { staged[i] = finite(staged[i]); } }`}
      workgroupBarrier();
      let at = ${remainder('lane', 4 * tile.groups)};
      ${eachOwn((cell, staged) => `${arrayOf(tile, plan, cell, 'k')}[at] = ${staged};`)}
      workgroupBarrier();
      for (var c = 0; c < ${near}; c++) {
        ${Array.from({ length: plan.groups / near }, (_, far) => weighGroup(weights, tile, plan, far, sum)).join('\n        ')}
      }
    }`
}

/** Four arrays of a tile: rows of groups `near · far …`, in band `band`, or in those beside it. */
interface Cell {
  readonly far: number
  readonly band: number
}

function cellsOf({ groups, near, deep }: ColumnPlan): Cell[] {
  return Array.from({ length: (groups / near) * deep }, (_, index) => ({ far: Math.floor(index / deep), band: index % deep }))
}

function arrayOf({ name, parts }: TileShape, { deep }: ColumnPlan, { far, band }: Cell, k: string): string {
  const first = 4 * (far * 2 ** Math.ceil(Math.log2(deep)) + band)
  return `${name}[${Math.floor(first / parts)}][${plus(k, String(first % parts))}]`
}

/** What group `near · far + c` of a filling adds. */
function weighGroup(weights: TileShape, tile: TileShape, plan: ColumnPlan, far: number, sum: string): string {
  const { bands, near, deep } = plan
  const { slot, place } = weightPlace(weights, plan, far)
  const addBand = (band: number): string => {
    const stretch = plus(String(near * tile.groups * Math.floor(band / deep)), `c * ${tile.groups} + column`)
    return `let v${band} = ${arrayOf(tile, plan, { far, band: band % deep }, 'k')}[${stretch}];
            for (var r = 0; r < ${weights.parts}; r++) { ${sum}[${band}][r] = fma(vec4f(p[r][k]), v${band}, ${sum}[${band}][r]); }`
  }
  return `{
          var p: array<vec4f, ${weights.parts}>;
          for (var r = 0; r < ${weights.parts}; r++) { p[r] = ${weights.name}[${slot}][r][${place}]; }
          for (var k = 0; k < 4; k++) {
            ${Array.from({ length: bands }, (_, band) => addBand(band)).join('\n            ')}
          }
        }`
}

/** Where the weights of that group are. A filling's number is masked so that compilers see that an address has no carry. */
function weightPlace(weights: TileShape, { groups, fillings, near }: ColumnPlan, far: number): { slot: string; place: string } {
  if (near === 4) {
    const first = fillings === 1 ? '0' : times(`(filling & ${fillings - 1})`, groups / 4)
    return { slot: plus(first, String(far)), place: placeOf(weights, 'rowGroup', 'c') }
  }
  const group = `(filling * ${groups} + c)`
  return { slot: quotient(group, 4), place: placeOf(weights, 'rowGroup', remainder(group, 4)) }
}
