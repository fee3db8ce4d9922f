import {
  problem,
  roundTo,
  tensor,
  type AttentionProblem,
  type Dtype,
  type FloatDtype,
  type HostTensor,
  type ProblemOptions,
} from '@qkv/core'

export class Random {
  #state: number
  constructor(seed: number) {
    this.#state = (seed * 2654435761) >>> 0 || 1
  }
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  chance(p: number): boolean { return this.next() < p }
  pick<T>(items: readonly T[]): T { return items[Math.floor(this.next() * items.length)] as T }
  whole(low: number, high: number): number { return low + Math.floor(this.next() * (high - low + 1)) }
  normal(): number { return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next()) }
}

/** A tensor in some layout (axes in another order, gaps, an offset) whose unused elements are NaN. */
export function scattered(random: Random, shape: number[], dtype: FloatDtype, sigma = 1, mean = 0): HostTensor {
  const order = random.chance(0.4) && shape.length === 4 ? [0, 2, 1, 3] : shape.map((_, axis) => axis)
  const gap = random.pick([0, 0, 0, 1, 4])
  const offset = random.pick([0, 0, 0, 4, 3])
  const strides = new Array<number>(shape.length).fill(1)
  let stride = 1
  for (const axis of [...order].reverse()) {
    strides[axis] = stride
    stride *= shape[axis] ?? 1
    if (axis === shape.length - 1) stride += gap
  }
  const poison = dtype === 'float32' ? new Float32Array(stride + offset + 8).fill(NaN) : new Uint16Array(stride + offset + 8).fill(0x7fff)
  const result = tensor(poison, shape, { dtype, strides, offset })
  const count = shape.reduce((a, b) => a * b, 1)
  const values = roundTo(Float64Array.from({ length: count }, () => mean + sigma * random.normal()), dtype)
  for (let i = 0; i < count; i++) {
    let rest = i
    let at = offset
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1
      at += (rest % size) * (strides[axis] ?? 0)
      rest = Math.floor(rest / size)
    }
    poison[at] = values[i] ?? 0
  }
  return result
}

const sizes = [1, 2, 3, 5, 7, 15, 16, 17, 31, 32, 33, 63, 64, 65, 90]

export function randomProblem(seed: number, limits: { rows?: number; dims?: number[] } = {}): AttentionProblem {
  const random = new Random(seed)
  const dtypes: FloatDtype[] = ['float32', 'float32', 'float16', 'bfloat16']
  const dims = limits.dims ?? [1, 3, 4, 8, 16, 20, 32, 33, 64, 80, 96, 128]
  const batch = random.pick([1, 1, 2, 3])
  const keyHeads = random.pick([1, 1, 2])
  const group = random.pick([1, 1, 2, 3, 4])
  const queryHeads = keyHeads * group
  const length = (): number => (random.chance(0.04) ? 0 : random.pick(sizes.filter((n) => n <= (limits.rows ?? 90))))
  const queryLength = length()
  const keyLength = random.chance(0.3) ? queryLength : length()
  const headDim = random.pick(dims)
  const valueDim = random.chance(0.6) ? headDim : random.pick(dims)
  const sigma = random.pick([0.01, 1, 1, 1, 4])
  const dtype = random.pick(dtypes)
  const cacheDtype = random.chance(0.7) ? dtype : random.pick(dtypes)
  const query = scattered(random, [batch, queryHeads, queryLength, headDim], dtype, sigma)
  const key = scattered(random, [batch, keyHeads, keyLength, headDim], cacheDtype, sigma)
  const value = scattered(random, [batch, keyHeads, keyLength, valueDim], cacheDtype, 1, random.pick([0, 0, 10]))
  const broadcast = (): number[] => [batch, queryHeads, queryLength, keyLength].map((size) => (random.chance(0.3) ? 1 : size))
  const options: { -readonly [K in keyof ProblemOptions]: ProblemOptions[K] } = {}
  if (random.chance(0.4)) options.causal = random.pick([true, 'lower-right', 'upper-left'] as const)
  if (random.chance(0.25)) options.window = { left: random.chance(0.7) ? random.whole(0, 40) : undefined, right: random.chance(0.5) ? random.whole(0, 20) : undefined }
  if (random.chance(0.2)) options.softcap = random.pick([1, 5, 30])
  if (random.chance(0.2)) options.scale = random.pick([1, 0.1, -0.5])
  if (random.chance(0.2)) options.bias = scattered(random, broadcast(), random.pick(dtypes))
  if (random.chance(0.2)) {
    const shape = broadcast()
    options.mask = tensor(Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => Number(random.chance(0.7))), shape, { dtype: 'bool' })
  }
  if (random.chance(0.2)) options.sinks = Array.from({ length: queryHeads }, () => random.normal() * 2)
  if (random.chance(0.25)) options.lengths = Array.from({ length: batch }, () => random.whole(0, keyLength))
  return problem(query, key, value, options)
}

export function describeProblem(p: AttentionProblem): string {
  const on = (['bias', 'mask', 'sinks', 'lengths', 'maskMod', 'scoreMod'] as const).filter((name) => p[name] !== undefined)
  const dtypes: Dtype[] = [p.query.dtype, p.key.dtype]
  return `q[${p.query.shape}] k[${p.key.shape}] v${p.valueDim} ${dtypes} ${p.causal ? p.alignment : ''} window ${p.window.left}/${p.window.right} softcap ${p.softcap} scale ${p.scale} ${on}`
}
