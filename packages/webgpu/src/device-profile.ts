import type { MatrixUnit } from './kernels/matrix-unit.ts'
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
  /** Units to do prefill's products with, where its tensors are of what they multiply; none unless they are asked for. */
  readonly matrixUnit: MatrixUnit | undefined
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
    matrixUnit: undefined,
  }
}

/** As a draft has it: `chromium-experimental-subgroup-matrix`. */
declare global {
  interface GPUAdapterInfo {
    readonly subgroupMatrixConfigs?: readonly {
      readonly M: number
      readonly N: number
      readonly K: number
      readonly componentType: string
      readonly resultComponentType: string
    }[]
  }
}

/** Units of a device that sum in float32, if it has any that we can use. */
export function matrixUnitOf({ features, adapterInfo }: GPUDevice): MatrixUnit | undefined {
  const { subgroupMatrixConfigs = [], subgroupMinSize, subgroupMaxSize } = adapterInfo
  if (!features.has(matrixFeature)) return undefined
  for (const component of ['f16', 'f32'] as const) {
    const found = subgroupMatrixConfigs.find(
      ({ componentType, resultComponentType }) => componentType === component && resultComponentType === 'f32',
    )
    if (found !== undefined && (component === 'f32' || features.has('shader-f16'))) {
      return { m: found.M, n: found.N, k: found.K, component, smallestSubgroup: subgroupMinSize, largestSubgroup: subgroupMaxSize }
    }
  }
  return undefined
}

export const matrixFeature = 'chromium-experimental-subgroup-matrix'
