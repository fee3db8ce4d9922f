export { reference, type Reference, type ReferenceOptions } from './attention.ts'
export type { Platform } from '../estimate.ts'
export { referenceGradient, type Bounded, type ReferenceGradient } from './gradient.ts'
