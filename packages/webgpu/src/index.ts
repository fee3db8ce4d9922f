export { createWebGpuBackend, type BufferRange, type EncodeTarget, type WebGpuBackend, type WebGpuOptions } from './backend.ts'
export type { DeviceOptions } from './device.ts'
export type { DeviceProfile } from './device-profile.ts'
export type { PoolStatistics } from './buffer-pool.ts'
