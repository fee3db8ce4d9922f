import { decoder } from '../convert.ts'
import type { HostTensor } from '../tensor.ts'
import { binaryThunk, unaryThunk, type Thunk } from './arithmetic.ts'
import type { CapturedScalar, ExpressionNode, IndexName } from './node.ts'
import { foldExpression, nodesOf, operandsOf } from './visit.ts'

/** The value at one pair of tokens: a number, or 0 and 1 for a boolean. */
export type CompiledExpression = (batch: number, head: number, query: number, key: number, row: number, score: number) => number

/**
 * An expression as closures, made once; calls allocate nothing. Integers are exact (32 bits), floats are computed in
 * float64. Captured tensors and scalars are read at each call, so their present values count.
 *
 * `query` is the query's position among the keys and `row` its plain row; see {@link IndexName}.
 */
export function compileExpression(root: ExpressionNode): CompiledExpression {
  const at: Record<IndexName | 'score', number> = { batch: 0, head: 0, query: 0, key: 0, row: 0, score: 0 }
  const shared: Thunk[] = []
  const registers = new Float64Array(nodesOf(root).length)
  const uses = countUses(root)
  /** What several nodes use is computed once a call, into a register. */
  const once = (node: ExpressionNode, thunk: Thunk): Thunk => {
    if ((uses.get(node) ?? 0) < 2) return thunk
    const register = shared.push(thunk) - 1
    return () => registers[register]!
  }
  const result = foldExpression<Thunk>(root, {
    constant: ({ value }) => constantThunk(Number(value)),
    index:
      ({ name }) =>
      () =>
        at[name],
    score: () => () => at.score,
    scalar: ({ type, scalar }) => scalarThunk(type, scalar),
    capture: (node, indices) => once(node, captureThunk(node.tensor, indices)),
    unary: (node, operand) => once(node, unaryThunk(node.operator, node.operand.type, operand)),
    binary: (node, left, right) => once(node, binaryThunk(node.operator, node.left.type, left, right)),
    select: (node, condition, then, otherwise) => once(node, () => (condition() === 1 ? then() : otherwise())),
  })
  return (batch, head, query, key, row, score) => {
    at.batch = batch
    at.head = head
    at.query = query
    at.key = key
    at.row = row
    at.score = score
    for (let register = 0; register < shared.length; register++) registers[register] = shared[register]!()
    return result()
  }
}

function countUses(root: ExpressionNode): Map<ExpressionNode, number> {
  const uses = new Map<ExpressionNode, number>()
  for (const node of nodesOf(root)) for (const operand of operandsOf(node)) uses.set(operand, (uses.get(operand) ?? 0) + 1)
  return uses
}

function constantThunk(value: number): Thunk {
  return () => value
}

function scalarThunk(type: 'int' | 'float', scalar: CapturedScalar): Thunk {
  return type === 'int' ? () => scalar.value | 0 : () => Math.fround(scalar.value)
}

function captureThunk({ dtype, storage, strides, offset }: HostTensor, indices: readonly Thunk[]): Thunk {
  const decode = decoder(dtype)
  const [first = zero, second = zero] = indices
  const [stride = 0, secondStride = 0] = strides
  if (indices.length <= 2) {
    return () => decode(storage[offset + first() * stride + second() * secondStride]!)
  }
  return () => {
    let element = offset
    for (let axis = 0; axis < indices.length; axis++) element += indices[axis]!() * strides[axis]!
    return decode(storage[element]!)
  }
}

const zero: Thunk = () => 0
