import { plus, quotient, remainder, times } from './arithmetic.wgsl.ts'
import type { Dim } from './elements.wgsl.ts'
import type { TileShape } from './tiling.ts'

export function declareTile({ name, groups, parts, slots }: TileShape): string {
  return `var<workgroup> ${name}: array<array<array<vec4f, ${4 * groups}>, ${parts}>, ${slots}>;`
}

/** Which of its workgroup an invocation is, `lane`, and whose patch it owns: of rows of group `rowGroup`, and of columns of group `column`. */
export function patchOf(columns: number): string {
  return `let lane = i32(localIndex);
  let column = ${remainder('lane', columns)};
  let rowGroup = ${quotient('lane', columns)};`
}

/** Where a chunk of a group lies in its slot, so that what neighbours read or write together is in different banks. */
export function placeOf({ groups }: TileShape, group: string, chunk: string): string {
  return `(${group} ^ (${chunk} * ${groups + 2}))`
}

/** WGSL of a chunk that an invocation stages; `step` is how many parts it lies after the invocation's first, the same for all. */
export type StagedVector = (place: { group: string; part: string; chunk: string; step: string }) => string

/**
 * Fills the first `slots` slots of a tile, all invocations together, four neighbours to a row. `vector` is WGSL of a chunk
 * of row `part` of a group, where `i` counts the rows that an invocation stages.
 */
export function stageRows(tile: TileShape, slots: number, invocations: number, vector: StagedVector): string {
  const { name, groups, parts } = tile
  const first = firstStaged(tile, invocations)
  const together = invocations / (4 * groups)
  const step = times('i', together)
  return `{
      let group = ${first.group};
      let at = ${placeOf(tile, 'group', '(lane & 3)')};
      for (var slot = 0; slot < ${slots}; slot++) {
        for (var i = 0; i < ${parts / together}; i++) {
          let part = ${plus(step, first.part)};
          ${name}[slot][part][at] = ${vector({ group: 'group', part: 'part', chunk: '4 * slot + (lane & 3)', step })};
        }
      }
    }`
}

/** The group and part that an invocation stages first, in a tile of rows. */
export function firstStaged({ groups }: TileShape, invocations: number): { group: string; part: string } {
  const perPart = 4 * groups
  return { group: remainder(quotient('lane', 4), groups), part: invocations === perPart ? '0' : quotient('lane', perPart) }
}

/**
 * `sum(quad)[j] += row r · column 4 · quad + j` for the patch of rows of group `rowGroup` and of columns of group `column`,
 * over the first `slots` slots of both: 16 loads for 256 multiply-adds where both have eight parts, 8 for 64 where both have four.
 */
export function multiplyRows(rows: TileShape, columns: TileShape, slots: number, sum: (quad: number) => string): string {
  const quads = Array.from({ length: columns.parts / 4 }, (_, quad) => {
    const dots = [0, 1, 2, 3].map((j) => `addDot(a, b[${4 * quad + j}], ${sum(quad)}[${j}])`)
    return `${sum(quad)} = vec4f(${dots.join(', ')});`
  })
  return `for (var c = 0; c < 4; c++) {
      let aAt = ${placeOf(rows, 'rowGroup', 'c')};
      let bAt = ${placeOf(columns, 'column', 'c')};
      for (var slot = 0; slot < ${slots}; slot++) {
        var b: array<vec4f, ${columns.parts}>;
        for (var j = 0; j < ${columns.parts}; j++) { b[j] = ${columns.name}[slot][j][bAt]; }
        for (var r = 0; r < ${rows.parts}; r++) {
          let a = ${rows.name}[slot][r][aAt];
          ${quads.join('\n          ')}
        }
      }
    }`
}

/** A part of a vector that is staged at a time. */
export interface Phase {
  /** Chunks before it. */
  readonly first: number
  readonly slots: number
}

export function phasesOf(dim: number, depth: number): Phase[] {
  const slots = Math.max(1, Math.ceil(dim / 16))
  const perPhase = depth / 16
  return Array.from({ length: Math.ceil(slots / perPhase) }, (_, phase) => ({
    first: 4 * phase * perPhase,
    slots: Math.min(perPhase, slots - phase * perPhase),
  }))
}

/**
 * `code(first, slots)` for each filling of a tile with `depth` elements of vectors of `dim`: a loop where fillings are
 * alike, so that compilers hold little from one to the next.
 */
export function inPhases(dim: number, depth: number, code: (first: string, slots: number) => string): string {
  const phases = phasesOf(dim, depth)
  const slots = phases[0]?.slots ?? 0
  if (phases.length === 1 || phases.some((phase) => phase.slots !== slots)) {
    return phases.map((phase) => code(String(phase.first), phase.slots)).join('\n    ')
  }
  return `for (var first = 0; first < ${4 * slots * phases.length}; first += ${4 * slots}) {
    ${code('first', slots)}
    }`
}

/** A chunk of a vector, zeros past its end; the test is left out where whole slots make up the vector. */
export function chunkOrZeros(name: string, start: string, dim: Dim): string {
  if (typeof dim === 'string') return chunkWithin(name, start, `((${dim} + 3) / 4)`)
  if (dim % 16 === 0 && dim > 0) return `${name}Vector(${start}, chunk)`
  return chunkWithin(name, start, String(Math.max(1, Math.ceil(dim / 4))))
}

function chunkWithin(name: string, start: string, chunks: string): string {
  return `select(vec4f(), ${name}Vector(${start}, min(chunk, ${chunks} - 1)), chunk < ${chunks})`
}
