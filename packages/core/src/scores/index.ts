export { distanceDecay, linearBias, relativeBias } from './distance.ts'
export { softcap } from './softcap.ts'
