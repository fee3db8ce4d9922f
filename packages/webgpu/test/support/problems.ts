import {
  distributions,
  drawTokens,
  parseToken,
  printToken,
  random,
  randomProblem,
  type Limits,
  type ProblemSpec,
  type RandomProblem,
} from '@qkv/testing'

export interface Draw {
  /** Kernels compiled: problems that differ in what is compiled in. The environment's QKV_PROBLEMS multiplies it. */
  readonly kernels: number
  /** Problems for each of them. */
  readonly each: number
  readonly seed: number
  readonly limits: Limits
  /** What all of them have, whatever was drawn. */
  readonly having?: Partial<ProblemSpec> | undefined
  /** How many rows at least share keys, queries times grouped heads: few are not computed in tiles. Default 0. */
  readonly rows?: number | undefined
  /** How many keys at least: of few, no splits are made. Default 0. */
  readonly keys?: number | undefined
  /** The share of problems whose numbers are ordinary, at least. Default 0.4. */
  readonly ordinary?: number | undefined
}

/**
 * Random problems, several for each kernel they need: compiling one takes a software driver longer than running it a
 * hundred times. Those that share a kernel differ in sizes, numbers, causality, window and scale.
 */
export function* problemsByKernel({ kernels, having, ...draw }: Draw): Generator<RandomProblem> {
  const share = Number(process.env['QKV_PROBLEMS'] ?? 1)
  for (const drawn of drawTokens({ count: Math.ceil(share * kernels), ...draw })) {
    const token = printToken({ ...parseToken(drawn), ...having })
    yield* problemsLike(token, draw)
  }
}

/** Problems that the kernel of `token` solves, itself first, then in other sizes, numbers, causality, windows and scales. */
export function* problemsLike(
  token: string,
  { each, seed, limits, rows = 0, keys = 0, ordinary = 0.4 }: Omit<Draw, 'kernels' | 'having'>,
): Generator<RandomProblem> {
  const stream = random(seed, token)
  const first = parseToken(token)
  const fewest = Math.ceil((rows * first.keyHeads) / first.queryHeads)
  if (first.queryLength >= fewest && first.keyLength >= keys) yield randomProblem(token)
  const few = limits.queryLength !== undefined && limits.queryLength < 16
  const drawnKeys = first.score !== 'select' && first.maskMod !== 'documents' // else their number is compiled in
  const size = (most: number): number => stream.pick([1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, stream.integer(0, most)])
  for (let made = 1, draws = 0; made < each && draws < 20 * each; draws++) {
    const spec = {
      ...first,
      // Where tensors lie decides how they are read, which is compiled in: of mixed layouts there would be no two alike.
      layout: first.layout === 'mixed' ? ('plain' as const) : first.layout,
      batch: stream.integer(1, 2),
      queryLength: Math.max(fewest, few ? stream.integer(1, limits.queryLength) : size(150)),
      keyLength: drawnKeys ? Math.max(keys, size(few ? 700 : 200)) : first.keyLength,
      distribution: stream.chance(ordinary) ? ('normal' as const) : stream.pick(distributions),
      causal: stream.chance(0.6) ? stream.pick(['lower-right', 'upper-left'] as const) : undefined,
      window: stream.chance(0.3) ? { left: stream.integer(0, 70), right: stream.pick([0, 3, Infinity]) } : undefined,
      scale: stream.chance(0.3) ? stream.pick([0.3, -1]) : undefined,
      seed: stream.integer(0, 2 ** 30),
    }
    const work = spec.batch * spec.queryHeads * spec.queryLength * spec.keyLength * (Math.max(spec.headDim, spec.valueDim) + 16)
    if (work > 4 * (limits.work ?? 2 ** 16)) continue
    yield randomProblem(printToken(spec))
    made++
  }
}
