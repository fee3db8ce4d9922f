export type { Inspection, OnBackend } from './inspection.ts'
export type { WeightOptions } from './weight-rows.ts'
export { weights, type WeightMap } from './weights.ts'
