import type { Kernel, LazyKernel } from '../kernel.ts'
import type { GradientSpec } from '../snippets/gradient.wgsl.ts'
import type { ElementwiseSpec } from './elementwise.wgsl.ts'
import type { GatherSpec } from './gather.wgsl.ts'
import type { GradientCapturedSpec } from './gradient-captured-rows.wgsl.ts'
import type { GradientDeltaSpec } from './gradient-delta.wgsl.ts'
import type { GradientKeyValueSpec } from './gradient-key-value.wgsl.ts'
import type { GradientQuerySpec } from './gradient-query.wgsl.ts'
import type { LinearRowsSpec } from './linear-rows.wgsl.ts'
import type { LinearTilesSpec } from './linear.wgsl.ts'
import type { NormaliseSpec } from './normalise.wgsl.ts'
import type { QuantizeSpec } from './quantize.wgsl.ts'
import type { RotateSpec } from './rotate.wgsl.ts'

/**
 * Kernels in chunks of their own, so that a page that only attends loads none of them: those of gradients and those of the layers
 * around attention. Operations are recorded without them; they are needed once they are to be compiled, and nobody waits for that
 * either. What each writes is known before it is loaded, and held against the kernel once it is.
 */
const gradients = (): Promise<typeof import('./gradients.ts')> => import('./gradients.ts')
const layers = (): Promise<typeof import('./layers.ts')> => import('./layers.ts')

type None = Record<string, never>

export const gradientBias: LazyKernel<GradientSpec> = lazy(gradients, 'gradientBias', ['dBias'])
export const gradientCapturedRows: LazyKernel<GradientCapturedSpec> = lazy(gradients, 'gradientCapturedRows', ['partial'])
export const gradientDelta: LazyKernel<GradientDeltaSpec> = lazy(gradients, 'gradientDelta', ['rowStatistics'])
export const gradientKeyValue: LazyKernel<GradientKeyValueSpec> = lazy(gradients, 'gradientKeyValue', ['gradients'])
export const gradientKeyValueRows: LazyKernel<GradientSpec> = lazy(gradients, 'gradientKeyValueRows', ['gradients'])
export const gradientQuery: LazyKernel<GradientQuerySpec> = lazy(gradients, 'gradientQuery', ['dQuery'])
export const gradientQueryRows: LazyKernel<GradientSpec> = lazy(gradients, 'gradientQueryRows', ['dQuery'])
export const gradientSinks: LazyKernel<None> = lazy(gradients, 'gradientSinks', ['dSinks'])
export const sumCopies: LazyKernel<None> = lazy(gradients, 'sumCopies', ['output'])

export const elementwise: LazyKernel<ElementwiseSpec> = lazy(layers, 'elementwise', ['output'])
export const gather: LazyKernel<GatherSpec> = lazy(layers, 'gather', ['output'])
export const linear: LazyKernel<LinearTilesSpec> = lazy(layers, 'linear', ['output'])
export const linearRows: LazyKernel<LinearRowsSpec> = lazy(layers, 'linearRows', ['output'])
export const normalise: LazyKernel<NormaliseSpec> = lazy(layers, 'normalise', ['output'])
export const quantize: LazyKernel<QuantizeSpec> = lazy(layers, 'quantize', ['codes', 'scales'])
export const rotate: LazyKernel<RotateSpec> = lazy(layers, 'rotate', ['output'])

function lazy<Name extends string, Spec>(
  chunk: () => Promise<{ readonly [N in NoInfer<Name>]: Kernel<Spec> }>,
  exported: Name,
  writes: readonly string[],
): LazyKernel<Spec> {
  const name = exported.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return { name, writes, load: async () => (await chunk())[exported] }
}
