/**
 * Tiles in workgroup memory.
 *
 * A tile is kept in several variables of `groups · 8` vectors: rows are dealt out to four parts, and each part to slots
 * of eight chunks (of four elements), so that what one invocation needs together, four rows of a chunk, is at one index
 * of four variables. WGSL checks an index once; four offsets into one array would be checked four times.
 */
export interface TileShape {
  readonly name: string
  /** Groups of four rows. */
  readonly groups: number
  /** Slots of eight chunks, 32 elements of a row. */
  readonly slots: number
  readonly invocations: number
}

interface Variable {
  readonly name: string
  readonly part: number
  readonly slot: number
}

export function declareTile({ name, groups, slots }: TileShape): string {
  return variablesOf(name, slots).map((variable) => `var<workgroup> ${variable.name}: array<vec4f, ${groups * 8}>;`).join('\n')
}

/** Row group g holds its chunk c at 8·g + (c xor (g mod 8)), so that what neighbours read together lies in different banks. */
export function swizzled(group: string, chunk: string): string {
  return `${group} * 8 + (${chunk} ^ (${group} % 8))`
}

/** `let {names}0 … {names}3`: one chunk of the four rows of a group. */
export function readRows(names: string, tile: string, slot: number, group: string, chunk: string): string {
  return [
    `let ${names}At = ${swizzled(group, chunk)};`,
    ...[0, 1, 2, 3].map((part) => `let ${names}${part} = ${tile}${part}${slot}[${names}At];`),
  ].join(' ')
}

/** Fills a tile with rows. `vector(part, group, chunk)` is WGSL of a chunk of the row that part `part` has in a group. */
export function stageRows(
  shape: TileShape,
  octets: readonly number[],
  vector: (part: string, group: string, chunk: string) => string,
): string {
  return `{ let stageGroup = lane / 8 % ${shape.groups}; let stageChunk = lane % 8;
    let at = ${swizzled('stageGroup', 'stageChunk')};
    ${fill(shape, variablesOf(shape.name, octets.length), (part, { slot }) =>
      vector(part, 'stageGroup', `${8 * (octets[slot] ?? 0)} + stageChunk`))} }`
}

/**
 * How the rows of a value tile share the variables of a key tile: values are read by columns, `columns` chunks at a
 * time, so a variable holds all of those for some groups of four keys.
 */
export interface ColumnPlan {
  /** Sets of `columns` chunks in a row. */
  readonly sets: number
  /** Groups of four keys in a variable, and how many times as many are staged together. */
  readonly groups: number
  readonly blocks: number
  /** How often the tile must be refilled to see all keys. */
  readonly phases: number
  /** The variable of a set and block, and where the set starts in it. */
  place(set: number, block: number): { slot: number; start: number }
}

export function planColumns({ groups: columns, slots }: TileShape, chunks: number): ColumnPlan {
  const sets = Math.ceil(chunks / columns)
  const shared = Math.ceil(sets / slots)
  const groups = 2 ** Math.floor(Math.log2(8 / shared))
  const blocks = Math.max(1, Math.min(Math.floor(slots / sets), columns / 8))
  return {
    sets,
    groups,
    blocks,
    phases: columns / (groups * blocks),
    place: (set, block) => ({ slot: (block * sets + set) % slots, start: Math.floor(set / slots) * groups * columns }),
  }
}

/** Fills a tile with rows to be read by columns: `vector(key, chunk)` of keys counted from the start of the tile. */
export function stageColumns(
  shape: TileShape,
  plan: ColumnPlan,
  phase: number,
  vector: (key: string, chunk: string) => string,
): string {
  const { groups: columns, slots } = shape
  const { sets, groups, blocks } = plan
  const used = variablesOf(shape.name, Math.min(slots, sets * blocks))
  const perSet = groups * columns
  return `{ let stageColumn = lane % ${columns}; let stageGroup = lane / ${columns} % ${groups}; let stageSet = lane % ${8 * columns} / ${perSet};
    let at = lane % ${8 * columns};
    ${fill(shape, used, (part, { slot }) => {
      const block = sets <= slots ? Math.floor(slot / sets) : 0
      const set = sets <= slots ? `${slot % sets}` : `(${slot} + ${slots} * stageSet)`
      const key = `4 * (${(phase * blocks + block) * groups} + stageGroup) + ${part}`
      return vector(key, `${set} * ${columns} + stageColumn`)
    })} }`
}

/** Each invocation fetches vectors until all variables are full, several variables at a time where it takes that many. */
function fill(
  { groups, invocations }: TileShape,
  variables: readonly Variable[],
  vector: (part: string, variable: Variable) => string,
): string {
  const together = invocations / (groups * 8)
  const steps: string[] = []
  for (let index = 0; index < variables.length; index += together) {
    const [first, second] = variables.slice(index, index + together)
    if (first === undefined) continue
    if (second === undefined) steps.push(`${first.name}[at] = ${vector(`${first.part}`, first)};`)
    else {
      steps.push(`{ let x = ${vector(`(${first.part} + lane / ${groups * 8})`, first)};
      if (lane < ${groups * 8}) { ${first.name}[at] = x; } else { ${second.name}[at] = x; } }`)
    }
  }
  return steps.join('\n    ')
}

function variablesOf(name: string, slots: number): Variable[] {
  return [...new Array(slots).keys()].flatMap((slot) =>
    [0, 1, 2, 3].map((part) => ({ name: `${name}${part}${slot}`, part, slot })),
  )
}
