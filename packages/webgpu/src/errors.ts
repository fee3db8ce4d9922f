import { QkvError, type QkvErrorCode } from '@qkv/core'

/** An error of `operation`: what was wrong with `argument`. */
export function refusal(
  { operation }: { readonly operation: string },
  code: QkvErrorCode,
  argument: string,
  expected: string,
  received: string,
  cause?: unknown,
): QkvError {
  return new QkvError({ code, operation, argument, expected, received, cause })
}

/** Of what happens on the device, whatever was asked of it. */
const webgpu = { operation: 'webgpu' }

export function deviceLost({ reason, message }: GPUDeviceLostInfo): QkvError {
  return refusal(
    webgpu,
    'DEVICE_LOST',
    'device',
    'alive (make a new backend to go on)',
    `a lost device (${String(reason)})`,
    message,
  )
}

export function disposed(): QkvError {
  return refusal(webgpu, 'DISPOSED', 'backend', 'alive', 'a disposed backend')
}

export function unavailable(received: string): QkvError {
  return refusal({ operation: 'createWebGpuBackend' }, 'DEVICE_UNAVAILABLE', 'gpu', 'WebGPU with an adapter', received)
}

export function outOfMemory(byteLength: number, cause: unknown): QkvError {
  return refusal(webgpu, 'OUT_OF_MEMORY', 'memory', `${byteLength} more bytes on the device`, 'a refusal', cause)
}

export function bufferTooLarge(byteLength: number, largest: number): QkvError {
  const expected = `at most ${largest} bytes, this device's largest buffer`
  return refusal(webgpu, 'LIMIT_EXCEEDED', 'tensor', expected, `${byteLength} bytes`)
}

export function submissionFailed(cause: unknown): QkvError {
  return refusal(webgpu, 'INTERNAL', 'submission', 'accepted by the device', fromDevice, cause)
}

export function pipelineFailed(kernel: string, cause: unknown): QkvError {
  return refusal(webgpu, 'PIPELINE_FAILED', `kernel ${kernel}`, 'one that this device compiles', fromDevice, cause)
}

export function lazyKernelFault(expected: string, received: string): QkvError {
  return refusal(webgpu, 'INTERNAL', 'lazy kernel', expected, received)
}

const fromDevice = 'an error from the device (see cause)'
