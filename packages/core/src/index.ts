export * from './backend.ts'
export { bfloat16ToFloat32, float32ToBfloat16 } from './bfloat16.ts'
export { decoder, encoder, roundTo, toFloat32, toFloat64 } from './convert.ts'
export { cost, type Cost, type CostShape } from './cost.ts'
export { dropoutHash, dropoutThreshold } from './dropout.ts'
export * from './dtype.ts'
export * from './errors.ts'
export { and, composeScores, maskMod, not, or, scoreMod, type TokenPair } from './expression/build.ts'
export * from './expression/node.ts'
export { capture, float, int, scalar, select, type Captured, type FloatScalar, type IntScalar } from './expression/terms.ts'
export type { BoolExpression, BoolOperand, FloatExpression, FloatOperand, IntExpression, IntOperand } from './expression/value.ts'
export { float16ToFloat32, float32ToFloat16 } from './float16.ts'
export * from './masks/index.ts'
export * from './problem.ts'
export {
  reference,
  referenceGradient,
  type Bounded,
  type Platform,
  type Reference,
  type ReferenceGradient,
  type ReferenceOptions,
} from './reference/index.ts'
export * from './scores/index.ts'
export { contiguousStrides, elementCount, reach, stridesLike } from './strides.ts'
export * from './tensor.ts'
export { problem } from './validate/problem.ts'
export * from './views.ts'
export * from './visibility.ts'
