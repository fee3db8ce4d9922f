import { addMix, nothing, type Listing, type Loop, type Mix } from './listing.ts'

/** What of a kernel is known from its algorithm, and not from its code. */
export interface Work {
  /** How often each loop within the key loop runs, in the order of the code. */
  readonly trips: readonly number[]
  /** Multiply-adds that an invocation needs for one tile of keys; masking, softmax and addresses are not among them. */
  readonly multiplyAdds: number
}

export interface Figures {
  readonly vectorRegisters: number
  readonly spilledRegisters: number
  readonly wavesPerSimd: number
  readonly workgroupBytes: number
  /** Multiply-adds of all product loops, by `trips`; what the algorithm needs, or else `trips` are wrong. */
  readonly products: number
  /** The part of the vector instructions of each product loop that are multiply-adds. */
  readonly productShares: readonly number[]
  /** Multiply-adds for each read of workgroup memory in those loops. */
  readonly productsPerRead: readonly number[]
  /** The same part over the whole key loop, for a tile at a mask's edge with a new maximum: everything counts. */
  readonly keyLoopShare: number
  /** Vector and workgroup memory instructions for each multiply-add of the algorithm, of such a tile and of most. */
  readonly slotsPerProduct: number
  readonly usualSlotsPerProduct: number
}

/** The key loop, the innermost with `trips.length` loops inside that holds the most products, weighted by trips. */
export function figures(listing: Listing, { trips, multiplyAdds }: Work): Figures {
  const { loops, vectorRegisters, spilledRegisters, wavesPerSimd, workgroupBytes } = listing
  const key = keyLoop(loops, trips.length)
  const inside = loops.map((_, index) => index).filter((index) => isInside(loops, index, key))
  const counts = new Map([[key, 1]])
  inside.forEach((index, place) => counts.set(index, (trips[place] ?? 1) * (counts.get(loops[index]?.parent ?? key) ?? 1)))
  const total = (part: (loop: Loop) => Mix): Mix =>
    [...counts].reduce((sum, [index, count]) => addMix(sum, part(loops[index] ?? noLoop), count), nothing)
  const [all, rare] = [total(({ own }) => own), total(({ rare }) => rare)]
  const productLoops = [...counts]
    .map(([index, count]) => ({ mix: loops[index]?.own ?? nothing, count }))
    .filter(({ mix }) => isProduct(mix))
  return {
    vectorRegisters,
    spilledRegisters,
    wavesPerSimd,
    workgroupBytes,
    products: productLoops.reduce((sum, { mix, count }) => sum + count * mix.multiplyAdds, 0),
    productShares: productLoops.map(({ mix }) => mix.multiplyAdds / mix.vector),
    productsPerRead: productLoops.map(({ mix }) => mix.multiplyAdds / mix.workgroupReads),
    keyLoopShare: multiplyAdds / all.vector,
    slotsPerProduct: (all.vector + all.workgroupAccesses) / multiplyAdds,
    usualSlotsPerProduct: (all.vector - rare.vector + all.workgroupAccesses) / multiplyAdds,
  }
}

const noLoop: Loop = { parent: undefined, own: nothing, rare: nothing }

/** A loop that mostly multiplies and adds what it reads of workgroup memory. */
const isProduct = ({ multiplyAdds, vector, workgroupReads }: Mix): boolean => 2 * multiplyAdds > vector && workgroupReads > 0

function isInside(loops: readonly Loop[], index: number, outer: number): boolean {
  const parent = loops[index]?.parent
  return parent !== undefined && (parent === outer || isInside(loops, parent, outer))
}

function keyLoop(loops: readonly Loop[], inner: number): number {
  const insideOf = (outer: number): number[] => loops.map((_, index) => index).filter((index) => isInside(loops, index, outer))
  const productsOf = (outer: number): number =>
    [outer, ...insideOf(outer)].reduce((sum, index) => sum + (loops[index]?.own.multiplyAdds ?? 0), 0)
  const candidates = loops.map((_, index) => index).filter((index) => insideOf(index).length === inner)
  const best = candidates.sort((a, b) => productsOf(b) - productsOf(a) || b - a)[0]
  if (best === undefined) {
    throw new Error(
      `no loop has ${inner} loops inside; there are loops with ${loops.map((_, index) => insideOf(index).length).join(', ')}`,
    )
  }
  return best
}
