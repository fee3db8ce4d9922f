import { lazyKernelFault, pipelineFailed } from './errors.ts'
import type { Kernel, KernelInterface, LazyKernel } from './kernel.ts'

/** A kernel compiled for one spec; `program` is there once `ready` has resolved. */
export interface CompiledKernel {
  /** The buffers that it writes. */
  readonly writes: readonly string[]
  readonly ready: Promise<void>
  program: Program | undefined
  /** Compiles at once, blocking the device, if `ready` is still pending; not for kernels that have to be loaded. */
  now(): Program
}

export interface Program {
  readonly kernel: KernelInterface
  readonly layout: GPUBindGroupLayout
  readonly pipeline: GPUComputePipeline
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

  get<Spec>(kernel: Kernel<Spec> | LazyKernel<Spec>, spec: Spec): CompiledKernel {
    const key = kernel.name + JSON.stringify(spec)
    const known = this.#compiled.get(key)
    if (known !== undefined) return known
    const compiled = 'load' in kernel ? this.#load(kernel, spec) : this.#compile(kernel, spec)
    this.#compiled.set(key, compiled)
    compiled.ready.catch(() => this.#compiled.delete(key))
    return compiled
  }

  #load<Spec>({ name, writes, load }: LazyKernel<Spec>, spec: Spec): CompiledKernel {
    const compiled: CompiledKernel = {
      writes,
      program: undefined,
      now: () => {
        if (compiled.program !== undefined) return compiled.program
        throw lazyKernelFault('loaded', name)
      },
      ready: load().then(
        async (kernel) => {
          expectAnnounced({ name, writes }, { name: kernel.name, writes: writesOf(kernel.interface(spec)) })
          const loaded = this.#compile(kernel, spec)
          await loaded.ready
          compiled.program = loaded.program
        },
        (cause: unknown) => {
          throw pipelineFailed(name, cause)
        },
      ),
    }
    return compiled
  }

  #compile<Spec>(kernel: Kernel<Spec>, spec: Spec): CompiledKernel {
    const device = this.#device
    const parts = kernel.interface(spec)
    const buffers = Object.entries(parts.buffers)
    device.pushErrorScope('validation') // what is wrong is told by the pipeline's promise, not to everyone
    const layout = device.createBindGroupLayout({
      label: kernel.name,
      entries: [
        { binding: 0, visibility: computeStage, buffer: { type: 'uniform' } },
        ...buffers.map(([, { access }], index): GPUBindGroupLayoutEntry => ({
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
    const program = (pipeline: GPUComputePipeline): Program => (compiled.program ??= { kernel: parts, layout, pipeline })
    const compiled: CompiledKernel = {
      writes: writesOf(parts),
      program: undefined,
      now: () => compiled.program ?? program(device.createComputePipeline(descriptor)),
      ready: device.createComputePipelineAsync(descriptor).then(
        (pipeline) => void program(pipeline),
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

function writesOf({ buffers }: KernelInterface): string[] {
  return Object.keys(buffers).filter((name) => buffers[name]?.access === 'read_write')
}

type Announced = Pick<LazyKernel<never>, 'name' | 'writes'>

/** @throws QkvError `INTERNAL` where failures would be remembered with buffers that the kernel does not write. */
function expectAnnounced(announced: Announced, loaded: Announced): void {
  const described = ({ name, writes }: Announced): string => `${name}, which writes ${writes.join(', ')}`
  const [expected, received] = [described(announced), described(loaded)]
  if (expected !== received) throw lazyKernelFault(expected, received)
}
