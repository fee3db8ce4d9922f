/// <reference path="../wasm.d.ts" />
import plain from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url'
import simd from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url'
import threaded from '@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url'
import type { Fields } from './field.ts'
import { jaxWasm, jaxWebGpu } from './jax.ts'
import { onnxRuntimeWeb, onnxRuntimeWebGpu } from './onnxruntime-web.ts'
import { outsidePages } from './outside-pages.ts'
import { Unavailable } from './peer.ts'
import { plainLoop } from './plain-loop.ts'
import { qkvCpu, qkvPortable, qkvWebGpu } from './qkv.ts'
import { tensorflowCpu, tensorflowWasm, tensorflowWebGpu } from './tensorflow.ts'

const binaries = {
  'tfjs-backend-wasm.wasm': plain,
  'tfjs-backend-wasm-simd.wasm': simd,
  'tfjs-backend-wasm-threaded-simd.wasm': threaded,
}

/** Who competes in a page. */
export const browserFields: Fields = {
  cpu: {
    subject: qkvCpu,
    peers: [
      onnxRuntimeWeb(() => import('onnxruntime-web/wasm')),
      tensorflowWasm(binaries),
      tensorflowCpu,
      jaxWasm,
      qkvPortable,
      plainLoop,
      ...outsidePages.cpu,
    ],
  },
  gpu: {
    subject: qkvWebGpu(browserAdapter),
    peers: [onnxRuntimeWebGpu, tensorflowWebGpu, jaxWebGpu, ...outsidePages.gpu],
  },
}

async function browserAdapter(): Promise<GPUAdapter> {
  if (navigator.gpu === undefined) throw new Unavailable('this browser has no WebGPU')
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (adapter === null) throw new Unavailable('this browser finds no WebGPU adapter')
  return adapter
}
