/**
 * What all passes of the gradient do with a tile of pairs, 64 keys and a panel of 8 rows. Nothing of the forward pass is
 * kept but each row's output o and log-sum-exp; weights are computed again. With D = Σ dO∘o of each row,
 *
 *     s  = k · qᵀ  →  softcap, bias, expression, masks      p  = e^(s − lse)
 *     dp = v · dOᵀ                                          ds = p ∘ (dp − D), back through expression and softcap
 *
 * `gradient-queries.ts` then adds up dQ = scale · ds · k over the keys, `gradient-keys.ts` dV = pᵀ · dO and
 * dK = scale · dsᵀ · q over the rows, `gradient-sums.ts` what ds gives to a bias or to what the expression reads. Each sum
 * belongs to one unit of work and has one order, so the bits are the same for any number of threads.
 */
import * as record from '../src/wasm/record'
import { dropWeights } from './dropout'
import { exp } from './exp'
import { evaluate } from './expression'
import { logSums, outputProducts } from './gradient-rows'
import { packKeys, packValueBlocks, tileKeys, vectorBytes } from './operands'
import { wholeBlocks } from './pack'
import { float, int, pointer } from './problem'
import { panelRow, product } from './product'
import * as rows from './rows'
import { addBias, capScores, changeByExpression, changesScores, hideByMasks, hideOutside } from './scores'
import { take, takeFloats } from './scratch'
import { keyScoresBytes, zeroWhereEmpty } from './softmax'
import { partial, tileClass } from './tile-map'
import { negativeInfinity, negativeMultiplyAdd, splat } from './vector'

/**
 * A tile of keys and values in blocks of 4, and tiles of pairs, [key][8 rows]: weights p (until then scores), gradients ds,
 * what softcap and what the expression were given, as far as there are any; room for four vectors, and for expressions.
 */
let k: usize, v: usize
export let p: usize, ds: usize, scoresBefore: usize, vectors: usize, registers: usize
let capped: usize

/** The parts of a thread's scratch memory that every pass has. */
export function layOutPairs(problem: usize): void {
  vectors = take(4 * vectorBytes(problem))
  k = takeFloats(tileKeys * int(problem, record.headDim))
  v = takeFloats(tileKeys * int(problem, record.valueDim))
  p = takeFloats(tileKeys * rows.panelRows)
  ds = takeFloats(tileKeys * rows.panelRows)
  scoresBefore = takeFloats(tileKeys * rows.panelRows)
  capped = takeFloats(tileKeys * rows.panelRows)
  registers = take(int(problem, record.registerBytes))
}

/** The keys that the next pairs are of. */
export function packTile(problem: usize, batch: i32, keyHead: i32, at: i32, keys: i32): void {
  packKeys(problem, batch, keyHead, at, keys, k, vectors)
  packValueBlocks(problem, batch, keyHead, at, keys, v, vectors)
}

/**
 * Of keys `at` to `at + keys`, which are packed, and a panel's packed queries and output gradients: weights p, and ds of the
 * final scores. Both are exactly 0 for hidden pairs.
 */
export function scoreGradients(problem: usize, panel: usize, at: i32, keys: i32, q: usize, dO: usize): void {
  const packedKeys = wholeBlocks(keys)
  multiplyPairs(problem, packedKeys, q, dO)
  if (changesScores(problem)) changeScores(problem, panel, at, keys)
  if (tileClass(problem, panel, at) == partial) hideByMasks(problem, panel, p, at, keys, registers)
  if (!rows.seesAll(panel, at, at + packedKeys)) hideOutside(panel, p, at, packedKeys)
  const dropped = int(problem, record.dropoutThreshold) != 0
  if (dropped) dropWeights(problem, panel, ds, at, keys)
  weightsAndGradients(panel, packedKeys)
  if (dropped) dropWeights(problem, panel, p, at, keys)
}

/** The same, and ds taken further back: that of the scaled products. */
export function pairGradients(problem: usize, panel: usize, at: i32, keys: i32, q: usize, dO: usize): void {
  scoreGradients(problem, panel, at, keys, q, dO)
  if (pointer(problem, record.slopeProgram) != 0) throughExpression(problem, panel, at, keys)
  if (float(problem, record.softcap) != 0) throughSoftcap(problem, keys)
}

/** p = k · qᵀ and ds = v · dOᵀ, of which weights and gradients are then made. */
function multiplyPairs(problem: usize, packedKeys: i32, q: usize, dO: usize): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  for (let j = 0; j < packedKeys; j += 4) {
    product(k + (usize(j * headDim) << 2), 16, q, panelRow, headDim, p + j * keyScoresBytes, keyScoresBytes, 0)
    product(v + (usize(j * valueDim) << 2), 16, dO, panelRow, valueDim, ds + j * keyScoresBytes, keyScoresBytes, 0)
  }
}

/** Scores on their way, keeping what the way back needs. */
function changeScores(problem: usize, panel: usize, at: i32, keys: i32): void {
  const bytes = usize(keys) * keyScoresBytes
  capScores(problem, p, keys)
  if (float(problem, record.softcap) != 0) memory.copy(capped, p, bytes)
  addBias(problem, panel, p, at, keys)
  if (pointer(problem, record.scoreProgram) == 0) return
  memory.copy(scoresBefore, p, bytes)
  changeByExpression(problem, panel, p, at, keys, registers)
}

/** p = e^(s − lse), at most 1 however large scores are rounded; ds = p ∘ (dp − D). */
function weightsAndGradients(panel: usize, keys: i32): void {
  for (let half: usize = 0; half < 32; half += 16) {
    const lse = zeroWhereEmpty(v128.load(panel + half, logSums))
    const d = v128.load(panel + half, outputProducts)
    const end = p + usize(keys) * keyScoresBytes
    for (let from = p + half, to = ds + half; from < end; from += keyScoresBytes, to += keyScoresBytes) {
      const score = v128.load(from)
      const weight = exp(f32x4.pmin(f32x4.sub(score, lse), splat(0)))
      const gradient = f32x4.mul(weight, f32x4.sub(v128.load(to), d))
      // Hidden pairs are 0 also where the row's lse is NaN.
      const hidden = f32x4.eq(score, splat(negativeInfinity))
      v128.store(from, v128.andnot(weight, hidden))
      v128.store(to, v128.andnot(gradient, hidden))
    }
  }
}

/** ds of the final scores → of those that the expression was given. */
function throughExpression(problem: usize, panel: usize, at: i32, keys: i32): void {
  timesSlopes(evaluate(pointer(problem, record.slopeProgram), panel, scoresBefore, at, keys, registers), keys, ds)
}

/** → of those before softcap: times 1 − (capped / softcap)². */
function throughSoftcap(problem: usize, keys: i32): void {
  const softcap = splat(float(problem, record.softcap))
  for (let i: usize = 0, end = usize(keys) * keyScoresBytes; i < end; i += 16) {
    const t = f32x4.div(v128.load(capped + i), softcap)
    v128.store(ds + i, timesSlope(v128.load(ds + i), negativeMultiplyAdd(t, t, splat(1))))
  }
}

/** ds times slopes of the same pairs, into `target`. */
export function timesSlopes(slopes: usize, keys: i32, target: usize): void {
  for (let i: usize = 0, end = usize(keys) * keyScoresBytes; i < end; i += 16) {
    v128.store(target + i, timesSlope(v128.load(ds + i), v128.load(slopes + i)))
  }
}

/** Hidden pairs stay 0 whatever the slope, which may be infinite or NaN there. */
// @ts-ignore: decorator
@inline
function timesSlope(gradient: v128, slope: v128): v128 {
  return v128.andnot(f32x4.mul(gradient, slope), f32x4.eq(gradient, splat(0)))
}
