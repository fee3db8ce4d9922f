/** What may go wrong at one call into a device. */
export type Fault =
  /** The call's error scope catches an out-of-memory error. */
  | 'out-of-memory'
  /** The call's error scope catches a validation error. */
  | 'validation'
  /** The device is lost just before the call. */
  | 'lost'
  /** The promise that the call returns rejects. */
  | 'rejects'
  /** The promise that the call returns never settles. */
  | 'hangs'

export interface Injection {
  /** Number of the call, from 0. */
  readonly call: number
  readonly fault: Fault
}

/** A device that computes nothing, counts what is asked of it, and fails where it is told to. */
export interface FailingGpu {
  readonly device: GPUDevice
  /** Names of the calls so far that could fail, in order. */
  readonly calls: readonly string[]
  /** Buffers and bytes that were made and not destroyed. */
  readonly live: { readonly buffers: number; readonly bytes: number }
  /** From now on calls are counted from 0, and one of them fails. */
  inject(injection: Injection | undefined): void
}

/**
 * A `GPUDevice` in plain JavaScript, for tests of what happens when things go wrong: buffers hold bytes, dispatches do
 * nothing, and error scopes, losses and promises behave as WebGPU says they do.
 */
export function failingGpu(): FailingGpu {
  const calls: string[] = []
  const scopes: { filter: GPUErrorFilter; error: GPUError | null }[] = []
  const live = new Map<object, number>()
  let injection: Injection | undefined
  let isLost = false
  let lose: (information: GPUDeviceLostInfo) => void = () => undefined
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => (lose = resolve))

  /** Counts a call; the fault that befalls it, if one does. */
  function enter(name: string): Fault | undefined {
    const fault = injection?.call === calls.push(name) - 1 ? injection?.fault : undefined
    if (fault === 'lost' && !isLost) {
      isLost = true
      lose({ reason: 'unknown', message: 'injected', __brand: 'GPUDeviceLostInfo' })
    }
    if (fault === 'out-of-memory' || fault === 'validation') {
      const scope = scopes.findLast(({ filter }) => filter === fault)
      if (scope) scope.error ??= { message: `injected ${fault} at ${name}` }
    }
    return fault
  }

  /** A promise of the device's: broken by a fault of its own, or by loss where `breaks`. */
  function settle<T>(name: string, value: T, breaks: boolean): Promise<T> {
    const fault = enter(name)
    if (fault === 'hangs') return new Promise<T>(() => undefined)
    if (fault === 'rejects' || (breaks && isLost)) return Promise.reject(new Error(`injected rejection of ${name}`))
    return Promise.resolve(value)
  }

  function createBuffer({ size }: GPUBufferDescriptor) {
    enter('createBuffer')
    const buffer = {
      size,
      destroy: (): void => void live.delete(buffer),
      mapAsync: () => settle('mapAsync', undefined, true),
      getMappedRange: () => new ArrayBuffer(size),
      unmap: () => undefined,
    }
    live.set(buffer, size)
    return buffer
  }

  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing }
  const encoder = { beginComputePass: () => pass, copyBufferToBuffer: nothing, clearBuffer: nothing, finish: () => ({}) }
  const device = {
    lost,
    features: new Set<string>(),
    limits: {
      maxBufferSize: 2 ** 28,
      maxStorageBufferBindingSize: 2 ** 27,
      minStorageBufferOffsetAlignment: 256,
      maxComputeWorkgroupStorageSize: 16384,
      maxComputeWorkgroupsPerDimension: 65535,
    },
    queue: {
      writeBuffer: () => void enter('writeBuffer'),
      submit: () => void enter('submit'),
      onSubmittedWorkDone: () => settle('onSubmittedWorkDone', undefined, false),
    },
    createBuffer,
    createBindGroup: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createShaderModule: () => ({}),
    createCommandEncoder: () => encoder,
    createComputePipeline: () => ({}),
    createComputePipelineAsync: () => settle('createComputePipelineAsync', {}, false),
    pushErrorScope: (filter: GPUErrorFilter) => void scopes.push({ filter, error: null }),
    popErrorScope: () => {
      const scope = scopes.pop()
      return settle('popErrorScope', isLost ? null : (scope?.error ?? null), false)
    },
    destroy: nothing,
  }
  return {
    device: device as unknown as GPUDevice, // only what a compute library calls is there
    calls,
    get live() {
      return { buffers: live.size, bytes: [...live.values()].reduce((sum, size) => sum + size, 0) }
    },
    inject(next) {
      calls.length = 0
      injection = next
    },
  }
}

function nothing(): void {}
