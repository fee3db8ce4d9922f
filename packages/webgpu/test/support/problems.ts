import {
  distributions,
  drawTokens,
  parseToken,
  printToken,
  random,
  randomProblem,
  type Limits,
  type RandomProblem,
} from '@qkv/testing'

export interface Draw {
  /** Kernels compiled: problems that differ in what is compiled in. The environment's QKV_PROBLEMS multiplies it. */
  readonly kernels: number
  /** Problems for each of them. */
  readonly each: number
  readonly seed: number
  readonly limits: Limits
}

/**
 * Random problems, several for each kernel they need: compiling one takes a software driver longer than running it a
 * hundred times. Those that share a kernel differ in sizes, numbers, causality, window and scale.
 */
export function* problemsByKernel({ kernels, each, seed, limits }: Draw): Generator<RandomProblem> {
  const share = Number(process.env['QKV_PROBLEMS'] ?? 1)
  for (const token of drawTokens({ count: Math.ceil(share * kernels), seed, limits })) {
    yield randomProblem(token)
    yield* problemsLike(token, { each: each - 1, seed, limits })
  }
}

/** Problems that the kernel of `token` solves, in other sizes, numbers, causality, windows and scales. */
export function* problemsLike(token: string, { each, seed, limits }: Omit<Draw, 'kernels'>): Generator<RandomProblem> {
  const stream = random(seed, token)
  const first = parseToken(token)
  const few = limits.queryLength !== undefined && limits.queryLength < 16
  const size = (most: number): number => stream.pick([1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, stream.integer(0, most)])
  for (let i = 0; i < each; i++) {
    const spec = {
      ...first,
      // Where tensors lie decides how they are read, which is compiled in: of mixed layouts there would be no two alike.
      layout: first.layout === 'mixed' ? ('plain' as const) : first.layout,
      batch: stream.integer(1, 2),
      queryLength: few ? stream.integer(1, limits.queryLength) : size(150),
      keyLength: first.score === 'select' || first.maskMod === 'documents' ? first.keyLength : size(few ? 700 : 200),
      distribution: stream.pick(distributions),
      causal: stream.chance(0.6) ? stream.pick(['lower-right', 'upper-left'] as const) : undefined,
      window: stream.chance(0.3) ? { left: stream.integer(0, 70), right: stream.pick([0, 3, Infinity]) } : undefined,
      scale: stream.chance(0.3) ? stream.pick([0.3, -1]) : undefined,
      seed: stream.integer(0, 2 ** 30),
    }
    const work = spec.batch * spec.queryHeads * spec.queryLength * spec.keyLength * (Math.max(spec.headDim, spec.valueDim) + 16)
    if (work <= 4 * (limits.work ?? 2 ** 16)) yield randomProblem(printToken(spec))
  }
}
