import { isHostTensor, tensor, type Backend, type Dtype, type Tensor, type TypedArray } from '@qkv/core'
import { invalid, refused } from '../refuse.ts'
import { isGpuBackend, lendGpuBuffer } from './gpu-buffer.ts'
import { elementsAtHome, isGpuBuffer } from './home.ts'

export { toGpuBuffer, type GpuBackend } from './gpu-buffer.ts'

/** A tensor of onnxruntime-web or onnxruntime-node, as far as we look at it. */
export interface OnnxTensor {
  readonly type: string
  readonly dims: readonly number[]
  /** Where its elements are: `cpu`, `cpu-pinned`, `gpu-buffer`, … */
  readonly location: string
  readonly data: unknown
  readonly gpuBuffer: unknown
}

/** The `Tensor` class of onnxruntime-web or onnxruntime-node. */
export interface OnnxTensorClass<T> {
  new (type: OnnxType, data: TypedArray, dims: readonly number[]): T
  fromGpuBuffer?(buffer: GPUBuffer, options: { dataType: OnnxGpuType; dims: readonly number[]; dispose: () => void }): T
}

export type OnnxType = OnnxGpuType | 'int8'

/** What ONNX Runtime takes in GPU buffers. */
export type OnnxGpuType = 'float32' | 'float16' | 'uint8' | 'int32' | 'bool'

/**
 * A tensor of ONNX Runtime seen as one of ours, without a copy: over the same array, or over the same GPUBuffer where
 * both run on one device (`ort.env.webgpu.device`, handed to `createWebGpuBackend({ device })`). It lives as long as the
 * other does.
 *
 * @throws QkvError `DTYPE_UNSUPPORTED`, or `OPTION_INVALID` for a tensor on the GPU without a backend that is there.
 */
export function fromOnnx(onnx: OnnxTensor, backend?: Backend): Tensor {
  const dtype = dtypeOf(onnx.type)
  if (onnx.location === 'gpu-buffer') {
    if (backend === undefined || !isGpuBackend(backend)) {
      throw invalid('fromOnnx', 'backend', 'one on the tensor’s GPU device', backend === undefined ? 'nothing' : backend.name)
    }
    const { gpuBuffer } = onnx
    if (!isGpuBuffer(gpuBuffer)) throw invalid('fromOnnx', 'tensor.gpuBuffer', 'a GPUBuffer', typeof gpuBuffer)
    return backend.fromBuffer(gpuBuffer, onnx.dims, dtype)
  }
  const { data } = onnx
  if (!ArrayBuffer.isView(data)) throw invalid('fromOnnx', 'tensor', 'on the CPU or in a GPU buffer', `at ${onnx.location}`)
  return tensor(data, onnx.dims, { dtype })
}

/**
 * A tensor of ours as one of ONNX Runtime, without a copy: over the same array in host memory, or over the same GPUBuffer on
 * a GPU backend. So it holds until ours is disposed, and not the other way round. A view that skips elements is copied, on the
 * device; what lives on another backend is read.
 *
 *     const feeds = { input: await toOnnx(output, { Tensor: ort.Tensor, backend }) }
 */
export async function toOnnx<T>(
  view: Tensor,
  options: { readonly Tensor: OnnxTensorClass<T>; readonly backend?: Backend | undefined },
): Promise<T> {
  const { Tensor: OnnxTensor, backend } = options
  const type = typeOf(view.dtype)
  if (!isHostTensor(view) && backend !== undefined && isGpuBackend(backend) && OnnxTensor.fromGpuBuffer && type !== 'int8') {
    const { buffer, release } = await lendGpuBuffer(backend, view)
    return OnnxTensor.fromGpuBuffer(buffer, { dataType: type, dims: view.shape, dispose: release })
  }
  return new OnnxTensor(type, await elementsAtHome('toOnnx', view, backend), view.shape)
}

const types: Readonly<Partial<Record<Dtype, OnnxType>>> = {
  float32: 'float32',
  float16: 'float16',
  int8: 'int8',
  uint8: 'uint8',
  int32: 'int32',
  bool: 'bool',
}

function typeOf(dtype: Dtype): OnnxType {
  const type = types[dtype]
  if (type !== undefined) return type
  throw refused('DTYPE_UNSUPPORTED', 'toOnnx', 'tensor', Object.keys(types).join(', '), dtype)
}

function dtypeOf(type: string): OnnxType {
  const known = Object.values(types).find((one) => one === type)
  if (known !== undefined) return known
  throw refused('DTYPE_UNSUPPORTED', 'fromOnnx', 'tensor', Object.keys(types).join(', '), type)
}
