import { matrixFeature } from './device.ts'
import type { MatrixUnit } from './kernels/matrix-unit.ts'

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
