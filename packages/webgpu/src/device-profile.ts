/** What is known, or assumed, of a device, from which kernels and schedules are chosen. */
export interface DeviceProfile {
  /** A CPU that plays a GPU: barriers and workgroup memory are what costs there. */
  readonly software: boolean
  /** Invocations that keep the device busy; WebGPU does not say, so this is a guess by kind. */
  readonly invocations: number
  /** Multiply-adds per submission, so that none lasts long enough for a watchdog or a dropped frame. */
  readonly workPerSubmission: number
}

export function deviceProfile(information: Partial<GPUAdapterInfo> | undefined): DeviceProfile {
  const software = information?.isFallbackAdapter === true || /swiftshader|llvmpipe|software/i.test(
    `${information?.architecture ?? ''} ${information?.description ?? ''} ${information?.device ?? ''}`,
  )
  return software
    ? { software, invocations: 256, workPerSubmission: 2 ** 28 }
    : { software, invocations: 2 ** 15, workPerSubmission: 2 ** 34 }
}
