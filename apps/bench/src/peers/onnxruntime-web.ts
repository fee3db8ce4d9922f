import type { Tensor } from 'onnxruntime-common'
import { onGpuAlone, onnxContestant } from './onnxruntime.ts'
import { inThreads, requirePageGpu, type Peer } from './peer.ts'

type OnnxRuntimeWeb = typeof import('onnxruntime-web/wasm')

/** ONNX Runtime Web's WebAssembly provider: what transformers.js computes with. Pages and Node each have an entry of it with threads. */
export function onnxRuntimeWeb(entry: () => Promise<OnnxRuntimeWeb>): Peer {
  return {
    id: 'onnxruntime-web/wasm',
    title: 'ONNX Runtime Web (wasm)',
    device: 'cpu',
    async load({ threads }) {
      const ort = await entry()
      ort.env.wasm.numThreads = threads
      ort.env.logLevel = 'error'
      return {
        version: ort.env.versions.web ?? ort.env.versions.common,
        settings: `wasm provider, ${inThreads(threads)}, inputs copied in at each call, weights packed where that is faster`,
        prepare: (bench) => onnxContestant(ort, bench, { executionProviders: ['wasm'] }),
      }
    },
  }
}

/** ONNX Runtime Web's WebGPU provider; in browsers. */
export const onnxRuntimeWebGpu: Peer = {
  id: 'onnxruntime-web/webgpu',
  title: 'ONNX Runtime Web (WebGPU)',
  device: 'gpu',
  async load() {
    requirePageGpu()
    const ort = await import('onnxruntime-web/webgpu')
    ort.env.logLevel = 'error'
    const upload = async (data: Float32Array, shape: readonly number[]): Promise<Tensor> => {
      const buffer = bufferOf(await ort.env.webgpu.device, data)
      return ort.Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: shape, dispose: () => buffer.destroy() })
    }
    const options = {
      executionProviders: ['webgpu'],
      preferredOutputLocation: 'gpu-buffer',
      logSeverityLevel: 4,
      ...onGpuAlone,
    } as const
    return {
      version: ort.env.versions.web ?? ort.env.versions.common,
      settings: 'webgpu provider, inputs in GPU buffers, weights packed where that is faster',
      prepare: (bench) => onnxContestant({ InferenceSession: ort.InferenceSession, Tensor: ort.Tensor, upload }, bench, options),
    }
  },
}

function bufferOf(device: GPUDevice, data: Float32Array): GPUBuffer {
  const buffer = device.createBuffer({
    size: Math.ceil(data.byteLength / 16) * 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    mappedAtCreation: true,
  })
  new Float32Array(buffer.getMappedRange(), 0, data.length).set(data)
  buffer.unmap()
  return buffer
}
