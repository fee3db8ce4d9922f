export { mergePartials } from './merge-partials.ts'
export { addScore, emptySoftmax, logSumExp, mergeSoftmax, rescaling, type SoftmaxState } from './online-softmax.ts'
