import { QkvError } from '@qkv/core'
import type { Kernel, KernelInterface } from './kernel.ts'

/** A kernel compiled for one spec; `pipeline` is there once `ready` has resolved. */
export interface CompiledKernel {
  readonly kernel: KernelInterface
  readonly layout: GPUBindGroupLayout
  readonly ready: Promise<void>
  pipeline: GPUComputePipeline | undefined
  /** Compiles at once, blocking the device, if `ready` is still pending. */
  now(): GPUComputePipeline
}

/** Compiles each kernel once per spec, asynchronously. */
export class PipelineCache {
  readonly #device: GPUDevice
  readonly #compiled = new Map<string, CompiledKernel>()

  constructor(device: GPUDevice) {
    this.#device = device
  }

  get size(): number {
    return this.#compiled.size
  }

  get<Spec>(kernel: Kernel<Spec>, spec: Spec): CompiledKernel {
    const key = kernel.name + JSON.stringify(spec)
    const known = this.#compiled.get(key)
    if (known !== undefined) return known
    const compiled = this.#compile(kernel, spec)
    this.#compiled.set(key, compiled)
    compiled.ready.catch(() => this.#compiled.delete(key))
    return compiled
  }

  #compile<Spec>(kernel: Kernel<Spec>, spec: Spec): CompiledKernel {
    const device = this.#device
    const parts = kernel.interface(spec)
    device.pushErrorScope('validation') // what is wrong is told by the pipeline's promise, not to everyone
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: [
        { binding: 0, visibility: computeStage, buffer: { type: 'uniform' } },
        ...Object.values(parts.buffers).map(({ access }, index): GPUBindGroupLayoutEntry => ({
          binding: index + 1,
          visibility: computeStage,
          buffer: { type: access === 'read' ? 'read-only-storage' : 'storage' },
        })),
      ],
    })
    const descriptor: GPUComputePipelineDescriptor = {
      label: kernel.name,
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ label: kernel.name, code: kernel.code(spec) }), entryPoint: 'main' },
    }
    const compiled: CompiledKernel = {
      kernel: parts,
      layout,
      pipeline: undefined,
      now: () => (compiled.pipeline ??= device.createComputePipeline(descriptor)),
      ready: device.createComputePipelineAsync(descriptor).then(
        (pipeline) => void (compiled.pipeline ??= pipeline),
        (cause: unknown) => {
          throw pipelineFailed(kernel.name, cause)
        },
      ),
    }
    device.popErrorScope().catch(() => undefined)
    return compiled
  }
}

const computeStage = 0x4 // GPUShaderStage.COMPUTE

function pipelineFailed(name: string, cause: unknown): QkvError {
  return new QkvError({
    code: 'PIPELINE_FAILED',
    operation: 'webgpu',
    argument: `kernel ${name}`,
    expected: 'one that this device compiles',
    received: 'an error from the device (see cause)',
    cause,
  })
}
