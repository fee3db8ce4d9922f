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

export function declareTile({ name, groups, slots }: TileShape): string {
  return `var<workgroup> ${name}: array<array<array<vec4f, ${groups * 8}>, 4>, ${slots}>;`
}

export function tileBytes({ groups, slots }: Pick<TileShape, 'groups' | 'slots'>): number {
  return 16 * groups * 8 * 4 * slots
}

/** Row group g holds its chunk c at 8·g + (c xor (g mod 8)), so that what neighbours read together lies in different banks. */
export function swizzled(group: string, chunk: string): string {
  return `(${group} << 3u) + (${chunk} ^ (${group} & 7))`
}

/**
 * Fills the first `octets` slots of a tile, all invocations together. `vector(group, part, chunk)` is WGSL of a chunk of
 * row `part` of a group.
 */
export function stageRows(
  { name, groups }: TileShape,
  octets: number,
  invocations: number,
  vector: (group: string, part: string, chunk: string) => string,
): string {
  return `{
      let group = ${remainder(quotient('lane', 8), groups)};
      let at = ${swizzled('group', '(lane & 7)')};
      for (var slot = 0; slot < ${octets}; slot++) {
        ${eachPart(8 * groups, invocations, `${name}[slot][part][at] = ${vector('group', 'part', '8 * slot + (lane & 7)')};`)}
      }
    }`
}

/** Divides the four parts among invocations, of which `perPart` fill one. */
function eachPart(perPart: number, invocations: number, code: string): string {
  const together = invocations / perPart
  return `for (var i = 0; i < ${4 / together}; i++) { let part = ${together === 1 ? 'i' : `i * ${together} + ${quotient('lane', perPart)}`}; ${code} }`
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
  vector: (group: string, part: string, chunk: string) => string,
): string {
  return `{
      let at = ${remainder('lane', 8 * columns)};
      let group = ${remainder(quotient('at', columns), groups)};
      let band = ${quotient('at', columns * groups)} * ${slots};
      for (var slot = 0; slot < ${slots}; slot++) {
        ${eachPart(8 * columns, invocations, `${name}[slot][part][at] = ${vector('group', 'part', `(band + slot) * ${columns} + ${remainder('lane', columns)}`)};`)}
      }
    }`
}
