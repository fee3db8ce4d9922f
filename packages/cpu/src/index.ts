export { createCpuBackend, type CpuBackend, type CpuMemory } from './backend.ts'
export type { CpuOptions } from './open-engine.ts'
