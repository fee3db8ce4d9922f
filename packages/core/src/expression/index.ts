export { differentiate, type ScoreDerivative } from './derivative.ts'
export { compileExpression, type CompiledExpression } from './evaluate.ts'
export { printExpression } from './print.ts'
export { foldExpression, nodesOf, operandsOf, type ExpressionVisitor, type NodeOf } from './visit.ts'
