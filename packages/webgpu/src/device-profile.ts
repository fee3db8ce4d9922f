import type { MatrixUnit } from './kernels/matrix-unit.ts'
import type { Tiling } from './snippets/tiling.ts'

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
  /** How prefill tiles, where that fits: heads of up to 64 elements, and of up to 128. */
  readonly tilings: Tilings
  /** Units to do prefill's products with, where its tensors are of what they multiply; none unless they are asked for. */
  readonly matrixUnit: MatrixUnit | undefined
}

export interface Tilings {
  readonly narrow: Tiling
  readonly wide: Tiling
}

/** Where an invocation has about a hundred registers. The gradient's products need twice those of prefill, and always take these. */
export const smallPatches: Tilings = {
  narrow: { rowGroups: 16, columns: 8, depth: 64, patch: 4 },
  wide: { rowGroups: 8, columns: 16, depth: 64, patch: 4 },
}

/**
 * Where it has 256: half as many loads for a multiply-add. On AMD's GPUs this rests on compilations for RDNA 2 and 3 (see
 * `instruction-mix`), on NVIDIA's on their 255 registers alone: nothing was compiled or timed for those.
 */
export const largePatches: Tilings = {
  narrow: { rowGroups: 8, columns: 8, depth: 32, patch: 8 },
  wide: { rowGroups: 8, columns: 16, depth: 32, patch: 8 },
}

export function deviceProfile(device: GPUDevice, information: Partial<GPUAdapterInfo> | undefined): DeviceProfile {
  const { isFallbackAdapter, vendor = '', architecture = '', description = '', subgroupMinSize = 0 } = information ?? {}
  const software = isFallbackAdapter === true || /swiftshader|llvmpipe|software/i.test(`${architecture} ${description}`)
  return {
    software,
    subgroupSize: device.features.has('subgroups') ? subgroupMinSize : 0,
    workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
    invocations: software ? 256 : 2 ** 15,
    workPerSubmission: software ? 2 ** 28 : 2 ** 34,
    tilings: /amd|nvidia/i.test(vendor) ? largePatches : smallPatches,
    matrixUnit: undefined,
  }
}
