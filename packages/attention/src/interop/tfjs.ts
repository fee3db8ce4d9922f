import { isHostTensor, tensor, type Backend, type Dtype, type Tensor } from '@qkv/core'
import { refused } from '../refuse.ts'
import { isGpuBackend, lendGpuBuffer } from './gpu-buffer.ts'
import { elementsAtHome, isGpuBuffer } from './home.ts'

export { toGpuBuffer, type GpuBackend } from './gpu-buffer.ts'

/** A tensor of TensorFlow.js, as far as we look at it. */
export interface TfjsTensor {
  readonly shape: readonly number[]
  readonly dtype: string
  data(): Promise<unknown>
  dataToGPU?(): { readonly buffer?: unknown; readonly tensorRef: { dispose(): void } }
}

/** What we call of the `tf` namespace. */
export interface Tfjs<T> {
  tensor(values: unknown, shape?: number[], dtype?: 'float32' | 'int32' | 'bool'): T
}

/** A tensor of ours over another's memory, which is held until it is disposed. */
export interface Borrowed extends Disposable {
  readonly tensor: Tensor
  dispose(): void
}

/**
 * A TensorFlow.js tensor as one of ours: over its GPUBuffer where both run on one device (`tf.backend().device`, handed
 * to `createWebGpuBackend({ device })`), else over the array that its `data()` gives.
 */
export async function fromTfjs(source: TfjsTensor, backend?: Backend): Promise<Borrowed> {
  const dtype = dtypeOf(source.dtype)
  if (backend !== undefined && isGpuBackend(backend)) {
    const { buffer, tensorRef } = gpuData(source) ?? {}
    if (isGpuBuffer(buffer)) return borrowed(backend.fromBuffer(buffer, source.shape, dtype), () => tensorRef?.dispose())
  }
  const values = await source.data()
  if (!ArrayBuffer.isView(values)) throw refused('DTYPE_UNSUPPORTED', 'fromTfjs', 'tensor', 'float32, int32 or bool', source.dtype)
  return borrowed(tensor(values, source.shape, { dtype }), () => {})
}

/**
 * A tensor of ours as one of TensorFlow.js: on a GPU backend over the same GPUBuffer, without a copy, so that it holds until
 * ours is disposed; else over the elements read home. A view that skips elements is copied, on the device.
 */
export async function toTfjs<T>(
  view: Tensor,
  { tf, backend }: { readonly tf: Tfjs<T>; readonly backend?: Backend | undefined },
): Promise<T> {
  const dtype = dtypeOf(view.dtype)
  if (!isHostTensor(view) && backend !== undefined && isGpuBackend(backend)) {
    const { buffer, copied, release } = await lendGpuBuffer(backend, view)
    // A copy is copied once more, for TensorFlow.js destroys no buffer that it did not make.
    const made = tf.tensor({ buffer, zeroCopy: !copied }, [...view.shape], dtype)
    release()
    return made
  }
  return tf.tensor(await elementsAtHome('toTfjs', view, backend), [...view.shape], dtype)
}

/** Undefined where TensorFlow.js keeps the tensor on the CPU, as it does with what has not been computed with yet. */
function gpuData(source: TfjsTensor): ReturnType<NonNullable<TfjsTensor['dataToGPU']>> | undefined {
  try {
    return source.dataToGPU?.()
  } catch {
    return undefined
  }
}

function dtypeOf(dtype: Dtype | string): 'float32' | 'int32' | 'bool' {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype
  throw refused('DTYPE_UNSUPPORTED', 'tfjs', 'tensor', 'float32, int32 or bool', dtype)
}

function borrowed(view: Tensor, dispose: () => void): Borrowed {
  return { tensor: view, dispose, [Symbol.dispose]: dispose }
}
