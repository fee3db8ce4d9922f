import { describe, type Backend } from '@qkv/core'
import type { CpuOptions } from '@qkv/cpu'
import type { WebGpuOptions } from '@qkv/webgpu'
import { invalid, refused } from './refuse.ts'

export type BackendName = 'webgpu' | 'cpu'

export interface CreateBackendOptions {
  /** Which backends to try, in this order; with one name, that one or none. Default: webgpu, then cpu. */
  readonly prefer?: BackendName | readonly BackendName[] | undefined
  /** Also take a GPU that is emulated by the processor, which is slower than the CPU backend. Default false. */
  readonly softwareGpu?: boolean | undefined
  /** A device or adapter for the WebGPU backend. */
  readonly webgpu?: WebGpuOptions | undefined
  /** Threads and engine for the CPU backend. */
  readonly cpu?: CpuOptions | undefined
}

/** A backend that says why it is not another. `description` says what it runs on; the CPU's, also why not on more. */
export interface ChosenBackend extends Backend {
  /** What was tried before it, and why it was not to be. */
  readonly passedOver: readonly PassedOver[]
}

export interface PassedOver {
  readonly backend: BackendName
  readonly reason: string
}

/**
 * The fastest backend that works here: the GPU through WebGPU, else the CPU, by WebAssembly where it may run and portable
 * JavaScript where not. Only the package that is chosen is loaded for good; both are optional peers of this one.
 *
 *     const backend = await createBackend()
 *     console.log(backend.description, backend.passedOver)
 *
 * @throws QkvError `DEVICE_UNAVAILABLE` with every reason, where none of those asked for works.
 */
export async function createBackend(options: CreateBackendOptions = {}): Promise<ChosenBackend> {
  const passedOver: PassedOver[] = []
  for (const name of namesOf(options.prefer)) {
    try {
      const backend = await makers[name](options)
      return Object.assign(backend, { passedOver })
    } catch (error) {
      passedOver.push({ backend: name, reason: error instanceof Error ? error.message : String(error) })
    }
  }
  const reasons = passedOver.map(({ backend, reason }) => `${backend} (${reason})`).join('; ')
  throw refused('DEVICE_UNAVAILABLE', 'createBackend', 'prefer', 'a backend that works here', reasons)
}

const makers: Readonly<Record<BackendName, (options: CreateBackendOptions) => Promise<Backend>>> = {
  async webgpu({ webgpu, softwareGpu = false }) {
    const given = webgpu?.device ?? webgpu?.adapter ?? webgpu?.gpu
    if (given === undefined && !('gpu' in (globalThis.navigator ?? {}))) {
      throw refused('DEVICE_UNAVAILABLE', 'createBackend', 'webgpu', 'a runtime with WebGPU', 'one without navigator.gpu')
    }
    const { createWebGpuBackend } = await import('@qkv/webgpu')
    const backend = await createWebGpuBackend(webgpu)
    if (!backend.profile.software || softwareGpu) return backend
    backend.dispose()
    throw refused(
      'DEVICE_UNAVAILABLE',
      'createBackend',
      'webgpu',
      'a GPU (softwareGpu: true takes any adapter)',
      backend.description,
    )
  },
  async cpu({ cpu }) {
    const { createCpuBackend } = await import('@qkv/cpu')
    return createCpuBackend(cpu)
  },
}

function namesOf(prefer: CreateBackendOptions['prefer'] = ['webgpu', 'cpu']): readonly BackendName[] {
  const names = typeof prefer === 'string' ? [prefer] : prefer
  if (Array.isArray(names) && names.length > 0 && names.every((name) => name in makers)) return names
  throw invalid('createBackend', 'prefer', 'webgpu, cpu or a list of them', describe(prefer))
}
