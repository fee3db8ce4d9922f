export { reference, type Reference, type ReferenceOptions } from './attention.ts'
export * as estimate from './estimate.ts'
export type { Arithmetic, Estimate, Platform } from './estimate.ts'
export { referenceGradient, type Bounded, type ReferenceGradient } from './gradient.ts'
