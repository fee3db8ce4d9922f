import { nodesOf } from '../expression/visit.ts'
import { isHostTensor } from '../tensor.ts'
import { firstPosition, validKeysOf, type Visibility } from '../visibility.ts'

/** What may tell apart what two (batch, head) pairs see. */
export interface Plane {
  readonly batch: number
  readonly head: number
  /** Least and most keys that may be valid; the same, unless a backend holds the lengths. */
  readonly validKeys: readonly [number, number]
  /** The position of query row 0, least and most. */
  readonly position: readonly [number, number]
}

/** The distinct planes, and which is that of `batch · heads + head`. */
export function planesOf(visibility: Visibility): { planes: readonly Plane[]; planeNumbers: Uint32Array } {
  const { batch, queryHeads } = visibility
  const byBatch = depends(visibility, 'batch', 0)
  const byHead = depends(visibility, 'head', 1)
  const planes: Plane[] = []
  const numbers = new Map<string, number>()
  const planeNumbers = new Uint32Array(batch * queryHeads)
  const numberOf = (entry: number, head: number, validKeys: Plane['validKeys']): number => {
    const sees = `${byBatch ? entry : ''} ${byHead ? head : ''} ${validKeys}`
    const number = numbers.get(sees) ?? planes.length
    if (number === planes.length) {
      const [least, most] = validKeys
      numbers.set(sees, number)
      planes.push({ batch: entry, head, validKeys, position: [firstPosition(visibility, least), firstPosition(visibility, most)] })
    }
    return number
  }
  for (let entry = 0; entry < batch && queryHeads > 0; entry++) {
    const validKeys = validKeysOf(visibility, entry)
    const first = entry * queryHeads
    planeNumbers.fill(numberOf(entry, 0, validKeys), first, first + queryHeads)
    if (byHead) for (let head = 1; head < queryHeads; head++) planeNumbers[first + head] = numberOf(entry, head, validKeys)
  }
  return { planes, planeNumbers }
}

function depends({ mask, maskMod }: Visibility, index: 'batch' | 'head', axis: number): boolean {
  const masked = mask !== undefined && isHostTensor(mask) && mask.strides[axis] !== 0
  return masked || (maskMod !== undefined && nodesOf(maskMod.node).some((node) => node.kind === 'index' && node.name === index))
}
