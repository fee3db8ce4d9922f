export type { LayerGradients } from './backward.ts'
export { forwardWithGradient, type DifferentiableForward, type TrainingOptions } from './forward-with-gradient.ts'
