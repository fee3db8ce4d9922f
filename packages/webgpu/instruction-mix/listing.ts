/** What Mesa's ACO compiler prints of a compute shader under `RADV_DEBUG=shaders,shaderstats`, read for its loops. */
export interface Listing {
  readonly vectorRegisters: number
  readonly spilledRegisters: number
  readonly wavesPerSimd: number
  readonly workgroupBytes: number
  /** In the order in which they start, so that a loop comes before those inside it. */
  readonly loops: readonly Loop[]
}

export interface Loop {
  /** Its place in `loops` of the loop around it. */
  readonly parent: number | undefined
  /** What runs each time around, without the loops inside. */
  readonly own: Mix
  /** The part of `own` that a branch skips most of the time: what a tile at a mask's edge needs, or a new maximum. */
  readonly rare: Mix
}

/** Instructions of a stretch of code. One that does two things at once, `v_dual_` or packed, is one instruction. */
export interface Mix {
  readonly vector: number
  /** By vector instructions; two for one that is packed. */
  readonly multiplyAdds: number
  readonly workgroupReads: number
  readonly workgroupAccesses: number
  readonly barriers: number
  readonly memory: number
}

export const nothing: Mix = { vector: 0, multiplyAdds: 0, workgroupReads: 0, workgroupAccesses: 0, barriers: 0, memory: 0 }

export function addMix(a: Mix, b: Mix, times = 1): Mix {
  return {
    vector: a.vector + times * b.vector,
    multiplyAdds: a.multiplyAdds + times * b.multiplyAdds,
    workgroupReads: a.workgroupReads + times * b.workgroupReads,
    workgroupAccesses: a.workgroupAccesses + times * b.workgroupAccesses,
    barriers: a.barriers + times * b.barriers,
    memory: a.memory + times * b.memory,
  }
}

/** Reads the last shader of a printout. A driver compiles shaders of its own first. */
export function readListing(printout: string): Listing {
  const lines = disassembly(printout)
  const spans = loopSpans(lines)
  const innermost = lines.map((_, line) => spans.findLastIndex(({ start, end }) => start <= line && line <= end))
  const rare = rareLines(lines, innermost)
  return {
    vectorRegisters: statistic(printout, 'VGPRs'),
    spilledRegisters: statistic(printout, 'Spilled VGPRs'),
    wavesPerSimd: statistic(printout, 'Subgroups per SIMD'),
    workgroupBytes: statistic(printout, 'LDS size'),
    loops: spans.map(({ start, end }, index) => {
      const parent = spans.findLastIndex((other, place) => place < index && other.start <= start && end <= other.end)
      const ownLines = lines.map((_, line) => line).filter((line) => innermost[line] === index)
      const mixOf = (some: readonly number[]): Mix =>
        some.map((line) => mixOfLine(lines[line] ?? '')).reduce((a, b) => addMix(a, b), nothing)
      return {
        parent: parent < 0 ? undefined : parent,
        own: mixOf(ownLines),
        rare: mixOf(ownLines.filter((line) => rare.has(line))),
      }
    }),
  }
}

function statistic(printout: string, name: string): number {
  const found = [...printout.matchAll(new RegExp(`^${name}: (\\d+)`, 'gm'))].at(-1)?.[1]
  if (found === undefined) throw new Error(`the compiler printed no "${name}: …"; it has to print shader statistics`)
  return Number(found)
}

function disassembly(printout: string): string[] {
  const start = printout.lastIndexOf('disasm:')
  if (start < 0) throw new Error('the compiler printed no "disasm:"; it has to print the code of shaders')
  const lines = printout.slice(start).split('\n').slice(1)
  const end = lines.findIndex((line) => line.startsWith('***') || line.startsWith('Compute Shader'))
  return (end < 0 ? lines : lines.slice(0, end)).map((line) => line.replace(/;.*/, '').trim())
}

interface Span {
  readonly start: number
  readonly end: number
}

/** A loop is what lies between a label and the last branch back to it. */
function loopSpans(lines: readonly string[]): Span[] {
  const last = new Map<number, number>()
  for (const { from, to } of branches(lines)) if (to <= from) last.set(to, Math.max(from, last.get(to) ?? from))
  return [...last].map(([start, end]) => ({ start, end })).sort((a, b) => a.start - b.start || b.end - a.end)
}

interface Branch {
  readonly from: number
  readonly to: number
  readonly conditional: boolean
}

function branches(lines: readonly string[]): Branch[] {
  const labels = new Map(lines.flatMap((line, at) => (/^BB\d+:$/.test(line) ? [[line.slice(0, -1), at] as const] : [])))
  return lines.flatMap((line, from) => {
    const [, condition, label = ''] = /^s_(c?)branch\S*\s+(BB\d+)/.exec(line) ?? []
    const to = labels.get(label)
    return to === undefined ? [] : [{ from, to, conditional: condition === 'c' }]
  })
}

/** Lines that a forward branch skips, where they only compute: staging, barriers and products are never rare. */
function rareLines(lines: readonly string[], innermost: readonly number[]): Set<number> {
  const rare = new Set<number>()
  for (const { from, to, conditional } of branches(lines)) {
    if (!conditional || to <= from) continue
    const skipped = lines.slice(from + 1, to).map((line, index) => ({ mix: mixOfLine(line), at: from + 1 + index }))
    const onlyComputes = skipped.every(
      ({ mix, at }) => innermost[at] === innermost[from] && mix.barriers + mix.memory + mix.workgroupAccesses === 0,
    )
    if (onlyComputes) for (const { at } of skipped) rare.add(at)
  }
  return rare
}

const multiplyAdd = /^v_(pk_|dual_)?(fma|fmac|fmamk|fmaak|mad|mac|dot2)_?/

function mixOfLine(line: string): Mix {
  const [name = ''] = line.split(/\s/)
  const halves = line.split('::').map((half) => half.trim())
  const products = halves.filter((half) => multiplyAdd.test(half) && !/^v_mad_[iu]/.test(half)).length
  return {
    vector: name.startsWith('v_') ? 1 : 0,
    multiplyAdds: products * (/^v_(pk_|dot2)/.test(name) ? 2 : 1),
    workgroupReads: /^ds_(read|load)/.test(name) ? 1 : 0,
    workgroupAccesses: name.startsWith('ds_') ? 1 : 0,
    barriers: name === 's_barrier' ? 1 : 0,
    memory: /^(buffer|global|flat|scratch|image)_/.test(name) ? 1 : 0,
  }
}
