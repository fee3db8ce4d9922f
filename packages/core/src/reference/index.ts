export { reference, type Reference, type ReferenceOptions } from './attention.ts'
export type { Platform } from './estimate.ts'
