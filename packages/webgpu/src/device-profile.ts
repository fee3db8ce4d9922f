import type { Tiling } from './snippets/tiles.wgsl.ts'

/** What is known, or assumed, of a device, from which kernels and schedules are chosen. */
export interface DeviceProfile {
  /** A CPU that plays a GPU: barriers and workgroup memory are what costs there. */
  readonly software: boolean
  /** Lanes that exchange values without memory, at least; 0 where they cannot. */
  readonly subgroupSize: number
  readonly workgroupBytes: number
  /** Invocations that keep the device busy; WebGPU does not say, so this is a guess by kind. */
  readonly invocations: number
  /** Multiply-adds per submission, so that none lasts long enough for a watchdog or a dropped frame. */
  readonly workPerSubmission: number
  /** How prefill and the gradient tile, where that fits: heads of up to 64 elements, and wider ones. */
  readonly tilings: { readonly narrow: Tiling; readonly wide: Tiling }
}

export const defaultTilings: DeviceProfile['tilings'] = {
  narrow: { rowGroups: 16, columns: 8, depth: 64 },
  wide: { rowGroups: 8, columns: 16, depth: 64 },
}

export function deviceProfile(device: GPUDevice, information: Partial<GPUAdapterInfo> | undefined): DeviceProfile {
  const { isFallbackAdapter, architecture = '', description = '', subgroupMinSize = 0 } = information ?? {}
  const software = isFallbackAdapter === true || /swiftshader|llvmpipe|software/i.test(`${architecture} ${description}`)
  return {
    software,
    subgroupSize: device.features.has('subgroups') ? subgroupMinSize : 0,
    workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    invocations: software ? 256 : 2 ** 15,
    workPerSubmission: software ? 2 ** 28 : 2 ** 34,
    tilings: defaultTilings,
  }
}
