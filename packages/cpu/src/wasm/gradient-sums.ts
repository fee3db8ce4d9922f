import {
  elementCount,
  type AttentionGradient,
  type AttentionProblem,
  type ExpressionNode,
  type IndexName,
  type Tensor,
} from '@qkv/core'
import { differentiate } from '@qkv/core/expression'
import { hostView } from '../memory/storage.ts'
import type { Workspace } from '../memory/workspace.ts'
import { ownShape } from '../portable/index.ts'
import type { Draft } from './draft.ts'
import { placeAmong, placeProgram, type Program } from './expression.ts'
import { placeVector } from './place.ts'
import * as part from './record.ts'

/**
 * A tensor that scores are made of besides queries and keys. Its gradient sums over all pairs what each gives to the
 * element that it reads; see `assembly/gradient-sums.ts`.
 */
interface Summed {
  readonly target: Tensor
  /** None where scores do not change with it: a condition may read it, say. */
  readonly reads: readonly Read[]
}

/** One place where a score reads the tensor: an index for each axis, and the final score's derivative by what is read, if not 1. */
interface Read {
  readonly indices: readonly ExpressionNode[]
  readonly slope: ExpressionNode | undefined
}

/** A tensor's sums, ready to be made: what of the problem's record is theirs, and what remains to be done afterwards. */
export interface PlacedSums {
  readonly registerBytes: number
  readonly units: number
  describe(draft: Draft): void
  finish(): void
}

/** The bias, and all float tensors that the score expression reads. */
export function placeSums(space: Workspace, problem: AttentionProblem, gradient: AttentionGradient): readonly PlacedSums[] {
  const { batch, queryHeads, queryLength, keyLength } = problem
  const sums = summed(problem, gradient)
  for (const { target } of sums) fillZeros(target)
  if (batch * queryHeads * queryLength * keyLength === 0) return []
  return sums.filter(({ reads }) => reads.length > 0).map((each) => placeSum(space, problem, each))
}

function summed({ bias, scoreMod }: AttentionProblem, { dBias, captured }: AttentionGradient): readonly Summed[] {
  const derivative = scoreMod && differentiate(scoreMod)
  const tensors = [...captured].map(([tensor, target]): Summed => {
    const captures = derivative?.captures.filter(({ read, derivative }) => read.tensor === tensor && !isZero(derivative)) ?? []
    return { target, reads: captures.map(({ read, derivative }) => ({ indices: read.indices, slope: derivative })) }
  })
  if (bias === undefined || dBias === undefined) return tensors
  // A bias is read by batch entry, head, row and key, and changed by the score expression.
  const shape = ownShape(bias)
  const indices = biasAxes.map((name, axis): ExpressionNode => (shape[axis] === 1 ? zero : { kind: 'index', type: 'int', name }))
  return [{ target: dBias, reads: [{ indices, slope: derivative?.score }] }, ...tensors]
}

function isZero(node: ExpressionNode): boolean {
  return node.kind === 'constant' && node.value === 0
}

const biasAxes = ['batch', 'head', 'row', 'key'] as const
const zero: ExpressionNode = { kind: 'constant', type: 'int', value: 0 }

/** Small tensors are summed in float64, of which there is room for so many, and in several copies where parts would collide. */
const mostDoubles = 2 ** 16
const mostCopied = 2 ** 17

function placeSum(space: Workspace, problem: AttentionProblem, { target, reads }: Summed): PlacedSums {
  const elements = elementCount(target.shape)
  const inDouble = elements <= mostDoubles
  const cut = cutPairs(problem, reads, inDouble ? Math.floor(mostCopied / Math.max(1, elements)) : 1)
  const bytes = inDouble ? 8 : 4
  const address = inDouble ? zeroed(space, bytes * elements * cut.copies) : space.place(target).address
  const programs = reads.map(({ indices, slope }) => ({
    element: placeProgram(space, placeAmong(indices, target.strides)),
    slope: slope && placeSlope(space, slope),
  }))
  const addresses = programs.flatMap(({ element, slope }) => [element.address, slope?.address ?? 0])
  const readsAt = placeVector(space, Int32Array.from(addresses))
  return {
    registerBytes: Math.max(...programs.flatMap(({ element, slope }) => [element.registerBytes, slope?.registerBytes ?? 0])),
    units: cut.units,
    describe(draft) {
      draft.setInt(part.sums, address)
      draft.setInt(part.sumBytes, bytes)
      draft.setInt(part.copyBytes, cut.copies > 1 ? bytes * elements : 0)
      draft.setInt(part.reads, readsAt)
      draft.setInt(part.readCount, reads.length)
      draft.setInt(part.batchParts, cut.batchParts)
      draft.setInt(part.headParts, cut.headParts)
      draft.setInt(part.partRows, cut.partRows)
      draft.setInt(part.partKeys, cut.partKeys)
    },
    finish() {
      if (inDouble) addCopies(new Float64Array(space.arena.memory.buffer, address, elements * cut.copies), target)
    },
  }
}

/** The program of a derivative; none where it is 1 for all pairs. */
export function placeSlope(space: Workspace, slope: ExpressionNode): Program | undefined {
  return slope.kind === 'constant' && slope.value === 1 ? undefined : placeProgram(space, slope)
}

interface Cut {
  readonly batchParts: number
  readonly headParts: number
  readonly partRows: number
  readonly partKeys: number
  readonly units: number
  /** How many parts of the rows have sums of their own. */
  readonly copies: number
}

/** Parts enough for every thread to get several. */
const enoughParts = 32

/**
 * Cuts the pairs into parts along what each reads its own elements by. Where that is not enough, rows are cut as well,
 * into at most `mostCopies` parts with sums of their own. Never by the number of threads: sums would be other ones.
 */
function cutPairs(problem: AttentionProblem, reads: readonly Read[], mostCopies: number): Cut {
  const { batch, keyHeads, queryLength, keyLength, group } = problem
  const batchParts = isReadBy(reads, 'batch') ? batch : 1
  const headParts = isReadBy(reads, 'head') ? keyHeads : 1
  const wanted = Math.ceil(enoughParts / (batchParts * headParts))
  const keyTiles = Math.ceil(keyLength / part.tileKeys)
  const rowTiles = Math.ceil(queryLength / part.panelRows)
  const byRows = isReadBy(reads, 'row') || (isReadBy(reads, 'query') && positionsAreRows(problem, batchParts))
  const keyParts = !byRows && isReadBy(reads, 'key') ? Math.min(keyTiles, wanted) : 1
  const rowParts = Math.min(rowTiles, byRows ? wanted : Math.min(mostCopies, Math.ceil(wanted / keyParts)))
  const partRows = Math.ceil(rowTiles / rowParts) * part.panelRows * group
  const partKeys = Math.ceil(keyTiles / keyParts) * part.tileKeys
  const [rows, keys] = [Math.ceil((queryLength * group) / partRows), Math.ceil(keyLength / partKeys)]
  return { batchParts, headParts, partRows, partKeys, units: batchParts * headParts * rows * keys, copies: byRows ? 1 : rows }
}

/** Whether some axis is indexed by nothing but this, in every place: then what it differs for reads other elements. */
function isReadBy(reads: readonly Read[], name: IndexName): boolean {
  const [first] = reads
  return first !== undefined && first.indices.some((_, axis) => reads.every(({ indices }) => isIndex(indices[axis], name)))
}

function isIndex(node: ExpressionNode | undefined, name: IndexName): boolean {
  return node?.kind === 'index' && node.name === name
}

/** Whether rows that lie in different parts stand at different positions: parts may hold several batch entries. */
function positionsAreRows({ lengths, alignment, batch }: AttentionProblem, batchParts: number): boolean {
  return lengths === undefined || alignment === 'upper-left' || batchParts === batch
}

function zeroed(space: Workspace, bytes: number): number {
  const address = space.scratch(bytes)
  new Uint8Array(space.arena.memory.buffer, address, bytes).fill(0)
  return address
}

function fillZeros(target: Tensor): void {
  const { storage, offset } = hostView(target)
  storage.fill(0, offset, offset + elementCount(target.shape))
}

/** In the order of their parts, and rounded once. */
function addCopies(copies: Float64Array, target: Tensor): void {
  const { storage, offset } = hostView(target)
  const elements = elementCount(target.shape)
  for (let element = 0; element < elements; element++) {
    let sum = 0
    for (let at = element; at < copies.length; at += elements) sum += copies[at]!
    storage[offset + element] = sum
  }
}
