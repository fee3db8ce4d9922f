import { onGpuAlone, onnxContestant } from './onnxruntime.ts'
import { inThreads, Unavailable, type Peer } from './peer.ts'

/** ONNX Runtime's native CPU kernels: no browser runs them; the line to be measured against. */
export const onnxRuntimeNodeCpu: Peer = {
  id: 'onnxruntime-node/cpu',
  title: 'ONNX Runtime (native)',
  device: 'cpu',
  async load({ threads }) {
    const { default: ort } = await import('onnxruntime-node')
    return {
      version: ort.env.versions.node ?? ort.env.versions.common,
      settings: `native cpu provider, ${inThreads(threads)}, weights packed where that is faster`,
      prepare: (bench) =>
        onnxContestant(ort, bench, {
          executionProviders: ['cpu'],
          intraOpNumThreads: threads,
          interOpNumThreads: 1,
          logSeverityLevel: 4,
        }),
    }
  },
}

/** ONNX Runtime's WebGPU provider on Dawn, as Node can run it. */
export const onnxRuntimeNodeWebGpu: Peer = {
  id: 'onnxruntime-node/webgpu',
  title: 'ONNX Runtime (WebGPU in Node)',
  device: 'gpu',
  async load() {
    const { default: ort, listSupportedBackends } = await import('onnxruntime-node')
    if (!listSupportedBackends().some(({ name }) => name === 'webgpu')) throw new Unavailable('has no WebGPU on this system')
    return {
      version: ort.env.versions.node ?? ort.env.versions.common,
      settings: 'webgpu provider, inputs uploaded at each call: its binding has no GPU buffers',
      prepare: (bench) => onnxContestant(ort, bench, { executionProviders: ['webgpu'], logSeverityLevel: 4, ...onGpuAlone }),
    }
  },
}
