import type { Dim } from './elements.wgsl.ts'

/**
 * Tiles in workgroup memory, for patches of four rows.
 *
 * A tile has `groups` groups of four rows. It is an array of slots of 32 elements of a row (eight chunks of four), each
 * of four parts: part `i` holds row `i` of every group. What one invocation needs together, a chunk of the four rows of
 * a group, is then at one index of four arrays, and WGSL checks that index once.
 */
export interface TileShape {
  readonly name: string
  readonly groups: number
  readonly slots: number
}

/** Tiles of 4 · rowGroups rows by 4 · columns columns, for a workgroup of which each invocation owns a patch of four by four. */
export interface Tiling {
  readonly rowGroups: 8 | 16
  readonly columns: 8 | 16
  /** How many elements of a vector are staged at a time. */
  readonly depth: 32 | 64
}

/** Workgroup memory of a tile of rows, one of columns, and one of a weight for each pair. */
export function tilingBytes({ rowGroups, columns, depth }: Tiling): number {
  const [slots, weightSlots] = [depth / 32, columns / 8]
  return tileBytes({ groups: rowGroups, slots: slots + weightSlots }) + tileBytes({ groups: columns, slots })
}

export function declareTile({ name, groups, slots }: TileShape): string {
  return `var<workgroup> ${name}: array<array<array<vec4f, ${groups * 8}>, 4>, ${slots}>;`
}

/** A tile of weights has a chunk for each group of four keys; its slots lie side by side, so that one index reaches all. */
export function declareWeights({ name, groups, slots }: TileShape): string {
  return `var<workgroup> ${name}: array<array<vec4f, ${groups * 8 * slots}>, 4>;`
}

function tileBytes({ groups, slots }: Pick<TileShape, 'groups' | 'slots'>): number {
  return 16 * groups * 8 * 4 * slots
}

/**
 * Row group g holds its chunk c at `width`·g + (c xor (g mod 8)), so that what neighbours read together lies in different
 * banks; written as (`width`·g + g mod 8) xor c, of which a loop over chunks need not compute the first part again.
 */
export function swizzled(group: string, chunk: string, width = 8): string {
  return `(${swizzledRow(group, width)} ^ ${chunk})`
}

function swizzledRow(group: string, width: number): string {
  return `((${group} << ${Math.log2(width)}u) | (${group} & 7))`
}

/** WGSL of a chunk that an invocation stages. */
export type StagedVector = (group: string, part: string, chunk: string, step: string) => string

/**
 * Fills the first `octets` slots of a tile, all invocations together. `vector(group, part, chunk, step)` is WGSL of a
 * chunk of row `part` of a group; `step` is how many parts it lies after the invocation's first, the same for all.
 */
export function stageRows({ name, groups }: TileShape, octets: number, invocations: number, vector: StagedVector): string {
  return `{
      let group = ${remainder(quotient('lane', 8), groups)};
      let at = ${swizzled('group', '(lane & 7)')};
      for (var slot = 0; slot < ${octets}; slot++) {
        ${eachPart(8 * groups, invocations, `${name}[slot][part][at] = ${vector('group', 'part', '8 * slot + (lane & 7)', step(8 * groups, invocations))};`)}
      }
    }`
}

/** Divides the four parts among invocations, of which `perPart` fill one. */
function eachPart(perPart: number, invocations: number, code: string): string {
  const together = invocations / perPart
  return `for (var i = 0; i < ${4 / together}; i++) { let part = ${together === 1 ? 'i' : `i * ${together} + ${quotient('lane', perPart)}`}; ${code} }`
}

/** The group and part that an invocation stages first, in a tile of rows. */
export function firstStaged({ groups }: TileShape, invocations: number): { group: string; part: string } {
  return { group: remainder(quotient('lane', 8), groups), part: invocations === 8 * groups ? '0' : quotient('lane', 8 * groups) }
}

function step(perPart: number, invocations: number): string {
  return invocations === perPart ? 'i' : `i * ${invocations / perPart}`
}

/** `x / divisor` of what is not negative, by a power of two, in one instruction. */
export function quotient(x: string, divisor: number): string {
  return divisor === 1 ? x : `(${x} >> ${Math.log2(divisor)}u)`
}

/** `x % divisor` of what is not negative, by a power of two, in one instruction. */
export function remainder(x: string, divisor: number): string {
  return `(${x} & ${divisor - 1})`
}

/**
 * How value rows lie in a tile made for keys. Values are read by columns, `columns` chunks at a time, a band; a slot
 * holds `perSlot` bands of `groups` groups of four keys, so that all keys are seen in `phases` fillings.
 */
export interface ColumnPlan {
  readonly bands: number
  readonly slots: number
  readonly perSlot: number
  readonly groups: number
  readonly phases: number
}

export function planColumns({ groups: columns, slots }: TileShape, chunks: number): ColumnPlan {
  const bands = Math.ceil(chunks / columns)
  const perSlot = Math.ceil(bands / slots)
  const groups = 2 ** Math.floor(Math.log2(8 / perSlot))
  return { bands, slots: Math.ceil(bands / perSlot), perSlot, groups, phases: columns / groups }
}

/** Set `part · slots + slot` lies in slot `slot`; `vector(group, part, chunk)` counts groups within the filling. */
export function stageColumns(
  { name, groups: columns }: TileShape,
  { slots, groups }: ColumnPlan,
  invocations: number,
  vector: StagedVector,
): string {
  return `{
      let at = ${remainder('lane', 8 * columns)};
      let group = ${remainder(quotient('at', columns), groups)};
      let band = ${quotient('at', columns * groups)} * ${slots};
      for (var slot = 0; slot < ${slots}; slot++) {
        ${eachPart(8 * columns, invocations, `${name}[slot][part][at] = ${vector('group', 'part', `(band + slot) * ${columns} + ${remainder('lane', columns)}`, step(8 * columns, invocations))};`)}
      }
    }`
}

/**
 * `sum[r][j] += row r · column j` for the patch of four rows of group `rowGroup` and four of group `column`, over what
 * is staged of both: 8 loads for 64 multiply-adds.
 */
export function multiplyRows(rowTile: string, columnTile: string, octets: number, sum: string): string {
  return `{
    let aRow = ${swizzledRow('rowGroup', 8)};
    let bRow = ${swizzledRow('column', 8)};
    for (var c = 0; c < 8; c++) {
      for (var slot = 0; slot < ${octets}; slot++) {
        var b: array<vec4f, 4>;
        for (var i = 0; i < 4; i++) { b[i] = ${columnTile}[slot][i][bRow ^ c]; }
        for (var r = 0; r < 4; r++) {
          let a = ${rowTile}[slot][r][aRow ^ c];
          ${sum}[r] = vec4f(addDot(a, b[0], ${sum}[r].x), addDot(a, b[1], ${sum}[r].y), addDot(a, b[2], ${sum}[r].z), addDot(a, b[3], ${sum}[r].w));
        }
      }
    }
    }`
}

export const addDot = `
fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }`

/** Puts an invocation's patch of weights, vector `value` of row `r`, where {@link multiplyColumns} reads it. */
export function storeWeights({ name, slots }: TileShape, value: string): string {
  return `${name}[r][${swizzled('rowGroup', 'column', 8 * slots)}] = ${value};`
}

/**
 * `sum[band][r] += weights of row r · values`, for the chunks of the values that are this invocation's; all fillings of
 * the tile after `stage`: 12 loads for 128 multiply-adds.
 */
export function multiplyColumns(
  weights: TileShape,
  { name, groups: columns }: TileShape,
  plan: ColumnPlan,
  stage: string,
  sum: string,
): string {
  const { slots, perSlot, groups, phases } = plan
  return `{
    let pRow = ${swizzledRow('rowGroup', 8 * weights.slots)};
    for (var phase = 0; phase < ${phases}; phase++) {
      workgroupBarrier();
      ${stage}
      workgroupBarrier();
      for (var b = 0; b < ${groups}; b++) {
        let pAt = pRow ^ (phase * ${groups} + b);
        var p: array<vec4f, 4>;
        for (var r = 0; r < 4; r++) { p[r] = ${weights.name}[r][pAt]; }
        for (var part = 0; part < ${perSlot}; part++) {
          let vAt = (part * ${groups} + b) * ${columns} + column;
          for (var slot = 0; slot < ${slots}; slot++) {
            let band = part * ${slots} + slot;
            for (var k = 0; k < 4; k++) {
              let v = ${name}[slot][k][vAt];
              for (var r = 0; r < 4; r++) { ${sum}[band][r] = fma(vec4f(p[r][k]), v, ${sum}[band][r]); }
            }
          }
        }
      }
    }
    }`
}

/** As many octets (32 elements each) of a vector as are staged at a time. */
export interface Phase {
  /** Chunks before it. */
  readonly first: number
  readonly octets: number
}

export function phasesOf(dim: number, depth: number): Phase[] {
  const octets = Math.max(1, Math.ceil(dim / 32))
  const perPhase = depth / 32
  return Array.from({ length: Math.ceil(octets / perPhase) }, (_, phase) => ({
    first: 8 * phase * perPhase,
    octets: Math.min(perPhase, octets - phase * perPhase),
  }))
}

/**
 * `code(first, octets)` for each filling of a tile with `depth` elements of vectors of `dim`: a loop where fillings are
 * alike, so that compilers hold little from one to the next.
 */
export function inPhases(dim: number, depth: number, code: (first: string, octets: number) => string): string {
  const phases = phasesOf(dim, depth)
  const octets = phases[0]?.octets ?? 0
  if (phases.length === 1 || phases.some((phase) => phase.octets !== octets)) {
    return phases.map((phase) => code(String(phase.first), phase.octets)).join('\n    ')
  }
  return `for (var first = 0; first < ${8 * octets * phases.length}; first += ${8 * octets}) {
    ${code('first', octets)}
    }`
}

/** A chunk of a vector, zeros past its end; the test is left out where whole octets make up the vector. */
export function chunkOrZeros(name: string, start: string, dim: Dim): string {
  if (typeof dim === 'string') return chunkWithin(name, start, `((${dim} + 3) / 4)`)
  if (dim % 32 === 0 && dim > 0) return `${name}Vector(${start}, chunk)`
  return chunkWithin(name, start, String(Math.max(1, Math.ceil(dim / 4))))
}

function chunkWithin(name: string, start: string, chunks: string): string {
  return `select(vec4f(), ${name}Vector(${start}, min(chunk, ${chunks} - 1)), chunk < ${chunks})`
}

/** The vector, zero wherever it is not finite: what nobody sees may be anything, and 0 · NaN is not 0. */
export function finite(vector: string): string {
  return `select(vec4f(), ${vector}, (bitcast<vec4u>(${vector}) & vec4u(0x7f800000u)) != vec4u(0x7f800000u))`
}
