import { onGpuAlone, onnxContestant } from './onnxruntime.ts'
import { Unavailable, type Peer } from './peer.ts'

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
        settings: `wasm provider, ${threads} thread${threads === 1 ? '' : 's'}`,
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
    if (typeof navigator === 'undefined' || navigator.gpu === undefined) throw new Unavailable('needs a browser with WebGPU')
    const ort = await import('onnxruntime-web/webgpu')
    ort.env.logLevel = 'error'
    return {
      version: ort.env.versions.web ?? ort.env.versions.common,
      settings: 'webgpu provider',
      prepare: (bench) => onnxContestant(ort, bench, { executionProviders: ['webgpu'], logSeverityLevel: 4, ...onGpuAlone }),
    }
  },
}
