import { QkvError } from '@qkv/core'

export function deviceLost({ reason, message }: GPUDeviceLostInfo): QkvError {
  return new QkvError({
    code: 'DEVICE_LOST',
    operation: 'webgpu',
    argument: 'device',
    expected: 'alive (make a new backend to go on)',
    received: `a lost device (${String(reason)})`,
    cause: message,
  })
}

export function disposed(): QkvError {
  return new QkvError({
    code: 'DISPOSED',
    operation: 'webgpu',
    argument: 'backend',
    expected: 'alive',
    received: 'a disposed backend',
  })
}

export function unavailable(received: string): QkvError {
  return new QkvError({
    code: 'DEVICE_UNAVAILABLE',
    operation: 'createWebGpuBackend',
    argument: 'gpu',
    expected: 'WebGPU with an adapter',
    received,
  })
}

export function outOfMemory(byteLength: number, cause: unknown): QkvError {
  return new QkvError({
    code: 'OUT_OF_MEMORY',
    operation: 'webgpu',
    argument: 'memory',
    expected: `${byteLength} more bytes on the device`,
    received: 'a refusal',
    cause,
  })
}

export function submissionFailed(cause: unknown): QkvError {
  return new QkvError({
    code: 'INTERNAL',
    operation: 'webgpu',
    argument: 'submission',
    expected: 'accepted by the device',
    received: 'an error from the device (see cause)',
    cause,
  })
}
