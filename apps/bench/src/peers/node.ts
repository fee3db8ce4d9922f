import type { Fields } from './field.ts'
import { jaxWasm, jaxWebGpu } from './jax.ts'
import { onnxRuntimeNodeCpu, onnxRuntimeNodeWebGpu } from './onnxruntime-node.ts'
import { onnxRuntimeWeb, onnxRuntimeWebGpu } from './onnxruntime-web.ts'
import { Unavailable } from './peer.ts'
import { plainLoop } from './plain-loop.ts'
import { qkvCpu, qkvOneThread, qkvPortable, qkvWebGpu } from './qkv.ts'
import { tensorflowCpu, tensorflowWasm, tensorflowWebGpu } from './tensorflow.ts'
import { transformersNative, transformersWasm } from './transformers-js.ts'

/** Who competes in Node, and who would in a page: rows that say so. */
export const nodeFields: Fields = {
  cpu: {
    subject: qkvCpu,
    peers: [
      onnxRuntimeWeb(() => import('onnxruntime-web')),
      onnxRuntimeNodeCpu,
      transformersWasm,
      transformersNative,
      tensorflowWasm(),
      tensorflowCpu,
      jaxWasm,
      qkvOneThread,
      qkvPortable,
      plainLoop,
    ],
  },
  gpu: {
    subject: qkvWebGpu(dawnAdapter),
    peers: [onnxRuntimeNodeWebGpu, onnxRuntimeWebGpu, tensorflowWebGpu, jaxWebGpu],
  },
}

let gpu: GPU | undefined

/** The adapter of Dawn, kept for good: Dawn ends the process once the object that made its adapters is collected. */
async function dawnAdapter(): Promise<GPUAdapter> {
  const { create, globals } = await import('webgpu')
  Object.assign(globalThis, globals)
  gpu ??= create(['enable-dawn-features=allow_unsafe_apis'])
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (adapter === null) throw new Unavailable('Dawn finds no WebGPU adapter')
  return adapter
}
