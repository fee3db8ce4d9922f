import { unavailable } from './errors.ts'

/** A draft: asked for where there is one, used where a profile says so. */
export const matrixFeature = 'chromium-experimental-subgroup-matrix'

export interface DeviceOptions {
  /** A device that is ours to use and never to destroy. */
  readonly device?: GPUDevice | undefined
  /** An adapter that has not given a device yet. */
  readonly adapter?: GPUAdapter | undefined
  /** Where to ask for an adapter; default `navigator.gpu`. */
  readonly gpu?: GPU | undefined
}

export interface AcquiredDevice {
  readonly device: GPUDevice
  /** Whether the device was made here, and is destroyed with the backend. */
  readonly owned: boolean
  readonly information: Partial<GPUAdapterInfo> | undefined
}

/** @throws QkvError `DEVICE_UNAVAILABLE` saying which part of WebGPU is missing, or does not answer. */
export async function acquireDevice({ device, adapter, gpu }: DeviceOptions): Promise<AcquiredDevice> {
  if (device !== undefined) return { device, owned: false, information: device.adapterInfo }
  const source = adapter ?? (await requestAdapter(gpu))
  const has = (feature: string): feature is GPUFeatureName => source.features.has(feature)
  const requiredLimits = Object.fromEntries(usefulLimits.map((limit) => [limit, source.limits[limit]]))
  const requiredFeatures = ['subgroups', 'shader-f16', matrixFeature].filter(has)
  const made = await answer('device', source.requestDevice({ label: '@qkv/webgpu', requiredFeatures, requiredLimits }))
  return { device: made, owned: true, information: source.info }
}

async function requestAdapter(gpu: GPU | undefined): Promise<GPUAdapter> {
  const source = gpu ?? (globalThis.navigator as Navigator | undefined)?.gpu
  if (source === undefined) throw unavailable('no WebGPU here (navigator.gpu is missing)')
  const adapter = await answer('adapter', source.requestAdapter({ powerPreference: 'high-performance' }))
  if (adapter === null) throw unavailable('no adapter')
  return adapter
}

/** A browser that does not answer is one without WebGPU. */
const deadline = 10_000

async function answer<T>(what: string, asked: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer')), deadline)
  })
  try {
    return await Promise.race([asked, silence])
  } catch (cause) {
    throw unavailable(`no ${what} (${cause instanceof Error ? cause.message : String(cause)})`)
  } finally {
    clearTimeout(timer)
  }
}

/** Asked for as far as they go. */
const usefulLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
] as const
