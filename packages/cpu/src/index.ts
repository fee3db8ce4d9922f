export { createCpuBackend, type CpuBackend, type CpuMemory, type CpuOptions } from './backend.ts'
