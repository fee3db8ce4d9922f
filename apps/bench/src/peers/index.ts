import { jaxWasm, jaxWebGpu } from './jax.ts'
import { onnxRuntimeNodeCpu, onnxRuntimeNodeWebGpu } from './onnxruntime-node.ts'
import { onnxRuntimeWeb, onnxRuntimeWebGpu } from './onnxruntime-web.ts'
import type { Peer } from './peer.ts'
import { plainLoop } from './plain-loop.ts'
import { qkvCpu, qkvPortable, qkvWebGpu } from './qkv.ts'
import { tensorflowCpu, tensorflowWasm, tensorflowWebGpu } from './tensorflow.ts'

export interface Field {
  /** What every other is measured against, in pairs. */
  readonly subject: Peer
  readonly peers: readonly Peer[]
}

/** Who competes in Node. */
export const nodeFields: Readonly<Record<Peer['device'], Field>> = {
  cpu: { subject: qkvCpu, peers: [onnxRuntimeWeb, onnxRuntimeNodeCpu, tensorflowWasm, tensorflowCpu, jaxWasm, qkvPortable, plainLoop] },
  gpu: { subject: qkvWebGpu, peers: [onnxRuntimeNodeWebGpu, jaxWebGpu, tensorflowWebGpu] },
}

/** Who competes in a page. */
export const browserFields: Readonly<Record<Peer['device'], Field>> = {
  cpu: { subject: qkvCpu, peers: [onnxRuntimeWeb, tensorflowWasm, tensorflowCpu, jaxWasm, qkvPortable, plainLoop] },
  gpu: { subject: qkvWebGpu, peers: [onnxRuntimeWebGpu, tensorflowWebGpu, jaxWebGpu] },
}
