import { problem, roundTo, tensor, toFloat64, type AttentionProblem, type HostTensor, type Tensor, type Watch } from '@qkv/core'
import { reference, type Reference } from '@qkv/core/reference'
import { largePatches, smallPatches } from './device-profile.ts'
import { createWebGpuBackend, type DeviceProfile, type MatrixUnit, type Tiling, type Tilings, type WebGpuBackend } from './index.ts'
import { matrixUnitOf } from './matrix-units.ts'
import { smallestTiling } from './operations/tilings.ts'
import { fit, prefillTiles } from './snippets/tiling.ts'

/** What of a profile can be measured: plain data, to be kept and passed as `profile` to every later backend on this device. */
export type TunedProfile = Pick<DeviceProfile, 'software' | 'subgroupSize' | 'tilings' | 'matrixUnit' | 'invocations'>

export interface TuneOptions extends Watch {
  /** Of the models to run; default 64 and 128. */
  readonly headDims?: readonly number[] | undefined
}

/**
 * Times the kernels that a device could run and keeps the fastest of each kind: with or without tiles, with or without
 * subgroups, the shapes of tiles, matrix units where there are any, and among how many workgroups to divide the keys of a decoder.
 * What a device gets wrong, by more than rounding explains, is not kept however fast it is. Most of the time goes into compiling,
 * some seconds on a GPU: worth doing once for a device, not once for a page. What is known to be a CPU stays one.
 *
 * @throws QkvError `ABORTED`, or what befalls the device
 */
export async function tune(backend: WebGpuBackend, options: TuneOptions = {}): Promise<TunedProfile> {
  const { headDims = [64, 128], signal, onProgress } = options
  const trials = trialsOf(headDims, matrixUnitOf(backend.device), backend.profile.workgroupBytes)
  const { software, subgroupSize, tilings, matrixUnit, invocations } = backend.profile
  let chosen: TunedProfile = { software, subgroupSize, tilings, matrixUnit, invocations }
  for (const [index, trial] of trials.entries()) {
    chosen = { ...chosen, ...(await fastest(backend.device, trial, chosen, signal)) }
    onProgress?.((index + 1) / trials.length)
  }
  return chosen
}

/** The candidate that is right and takes the least time; nothing, and so no change, where there is none. */
async function fastest(device: GPUDevice, trial: Trial, chosen: TunedProfile, signal: Signal): Promise<Partial<TunedProfile>> {
  const choices = trial.candidates(chosen)
  if (choices.length === 0) return {}
  const example = asked(trial.question(lengthToCheck))
  const exact = reference(example, { backend: 'wgsl' })
  let best: { readonly milliseconds: number; readonly choice: Partial<TunedProfile> } = { milliseconds: Infinity, choice: {} }
  let length: number | undefined
  for (const choice of choices) {
    using candidate = await createWebGpuBackend({ device, profile: { ...chosen, ...choice }, patience })
    if (!(await isRight(candidate, example, exact, signal))) continue
    length ??= await lengthWorthTiming(candidate, trial.question, signal)
    const milliseconds = await millisecondsOf(candidate, trial.question(length), signal)
    if (milliseconds < best.milliseconds) best = { milliseconds, choice }
  }
  return best.choice
}

/** In milliseconds: some devices compile for minutes what then is found to be slow. */
const patience = 600_000

/** A tile and a part of one, whatever the tiling. */
const lengthToCheck = 70

async function isRight(
  backend: WebGpuBackend,
  example: AttentionProblem,
  { output: exact, bound }: Reference,
  signal: Signal,
): Promise<boolean> {
  using output = backend.attention(example).output
  const values = toFloat64(tensor(await backend.read(output, { signal }), output.shape, { dtype: output.dtype }))
  return exact.every((value, index) => Math.abs((values[index] ?? NaN) - value) <= (bound[index] ?? 0))
}

/** Candidates for a part of the profile, given the parts that are chosen, and what they are timed on. */
interface Trial {
  readonly question: (length: number) => Question
  readonly candidates: (chosen: TunedProfile) => readonly Partial<TunedProfile>[]
}

function trialsOf(headDims: readonly number[], unit: MatrixUnit | undefined, workgroupBytes: number): Trial[] {
  return [
    {
      question: (length) => prefillOf(length, headDims[0] ?? 64),
      candidates: ({ software, subgroupSize }) =>
        software ? [] : [{ software: true }, { subgroupSize: 0 }, ...(subgroupSize > 0 ? [{ subgroupSize }] : [])],
    },
    ...headDims.map((headDim) => {
      const heads = headDim <= 64 ? 'narrow' : 'wide'
      return {
        question: (length: number) => prefillOf(length, headDim),
        candidates: ({ software, tilings }: TunedProfile) =>
          software
            ? []
            : tilingsToTry(heads, headDim, workgroupBytes).map((tiling) => ({ tilings: { ...tilings, [heads]: tiling } })),
      }
    }),
    {
      question: (length) => prefillOf(length, headDims[0] ?? 64, unit?.component === 'f16' ? 'float16' : 'float32'),
      candidates: ({ software }) => (software || unit === undefined ? [] : [{ matrixUnit: undefined }, { matrixUnit: unit }]),
    },
    {
      question: (length) => decodeOf(8 * length, headDims[0] ?? 64),
      candidates: ({ software }) => (software ? [6, 8, 10] : [11, 13, 15, 17]).map((power) => ({ invocations: 2 ** power })),
    },
  ]
}

/** Those that fit: in the place of others the smallest is taken, which is timed once. */
function tilingsToTry(heads: keyof Tilings, headDim: number, workgroupBytes: number): Tiling[] {
  return [largePatches[heads], smallPatches[heads], smallestTiling].filter((tiling) =>
    fit(prefillTiles(tiling, headDim), workgroupBytes, headDim),
  )
}

interface Question<View extends Tensor = HostTensor> {
  readonly query: View
  readonly key: View
  readonly value: View
}

function asked({ query, key, value }: Question<Tensor>): AttentionProblem {
  return problem(query, key, value, { causal: true })
}

function prefillOf(length: number, headDim: number, dtype: 'float32' | 'float16' = 'float32'): Question {
  const vectors = noise(8, length, headDim, dtype)
  return { query: vectors, key: vectors, value: vectors }
}

/** One token of a decoder whose query heads share keys by fours. */
function decodeOf(keys: number, headDim: number): Question {
  const cache = noise(8, keys, headDim)
  return { query: noise(32, 1, headDim), key: cache, value: cache }
}

function noise(heads: number, length: number, dim: number, dtype: 'float32' | 'float16' = 'float32'): HostTensor {
  const values = Float32Array.from({ length: heads * length * dim }, () => Math.random() - 0.5)
  return tensor(roundTo(values, dtype), [1, heads, length, dim], { dtype })
}

/** So long that the device is busy for longer than it takes to ask it. */
async function lengthWorthTiming(backend: WebGpuBackend, question: Trial['question'], signal: Signal): Promise<number> {
  let length = 128
  while (length < 4096 && (await millisecondsOf(backend, question(length), signal)) < 5) length *= 2
  return length
}

/** The shortest of a few times, in which least else was in the way; the first, which compiles, is none of them. */
async function millisecondsOf(backend: WebGpuBackend, question: Question, signal: Signal): Promise<number> {
  using query = backend.upload(question.query)
  using key = backend.upload(question.key)
  using value = backend.upload(question.value)
  const example = asked({ query, key, value })
  let shortest = Infinity
  for (let time = 0; time < 5; time++) {
    const start = performance.now()
    const { output } = await backend.attentionInSteps(example, { signal })
    output.dispose()
    if (time > 0) shortest = Math.min(shortest, performance.now() - start)
  }
  return shortest
}

type Signal = AbortSignal | undefined
