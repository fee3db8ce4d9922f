export { createCpuBackend, type CpuBackend, type CpuMemory } from './backend.ts'
