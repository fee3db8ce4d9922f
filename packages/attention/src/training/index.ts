export type { LayerGradients } from './backward.ts'
export type { Differentiable } from './differentiable.ts'
export { forwardWithGradient, type TrainingOptions } from './forward-with-gradient.ts'
export { latentForwardWithGradient, type LatentGradients } from './latent.ts'
