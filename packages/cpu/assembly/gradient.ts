/**
 * What both passes of the gradient do with a tile of pairs, 64 keys and a panel of 8 rows. Nothing of the forward pass is
 * kept but each row's output o and log-sum-exp; weights are computed again. With D = Σ dO∘o of each row,
 *
 *     s  = k · qᵀ  →  softcap, bias, expression, masks      p  = e^(s − lse)
 *     dp = v · dOᵀ                                          ds = p ∘ (dp − D), back through expression and softcap
 *
 * `gradient-queries.ts` then adds up dQ = scale · ds · k over the keys, `gradient-keys.ts` dV = pᵀ · dO and
 * dK = scale · dsᵀ · q over the rows. Each sum belongs to one unit of work and has one order, so the bits are the same
 * for any number of threads.
 */
import * as record from '../src/wasm/record'
import { dropWeights } from './dropout'
import { loadElement, loadElements } from './elements'
import { exp } from './exp'
import { evaluate } from './expression'
import { tileKeys, vectorBytes } from './operands'
import { packFour, wholeBlocks } from './pack'
import { float, int, pointer, vectorOf } from './problem'
import { panelRow, product } from './product'
import * as rows from './rows'
import { capAndBias, changeByExpression, changesScores, hideByMasks, hideOutside } from './scores'
import { keyScoresBytes, zeroWhereEmpty } from './softmax'
import { partial, tileClass } from './tile-map'
import { negativeInfinity, negativeMultiplyAdd, splat } from './vector'

/** What the online softmax keeps of a row is known here from the start: log-sum-exp and D. */
export const logSums: usize = rows.maxima
export const outputProducts: usize = rows.sums

const tileBytes: usize = usize(tileKeys * keyScoresBytes)

/** Tiles of pairs that a thread needs: scores, which become weights; gradients; scores before the expression. */
export const pairTiles: i32 = 3

/** D of the rows of one head of one batch entry, float32 [batch, queryHeads, queryLength] at `partials`. */
export function gradientRows(problem: usize, unit: i32, _scratch: usize): void {
  const heads = int(problem, record.queryHeads), length = int(problem, record.queryLength), valueDim = int(problem, record.valueDim)
  const step = int(problem, record.dOutput + record.elementStride), dtype = int(problem, record.dOutput + record.dtype)
  const outputStep = int(problem, record.forwardOutput + record.elementStride), outputDtype = int(problem, record.forwardOutput + record.dtype)
  let target = pointer(problem, record.partials) + (usize(unit * length) << 2)
  for (let row = 0; row < length; row++, target += 4) {
    let gradient = vectorOf(problem, record.dOutput, unit / heads, unit % heads, row)
    let output = vectorOf(problem, record.forwardOutput, unit / heads, unit % heads, row)
    let sum: f64 = 0
    for (let c = 0; c < valueDim; c++, gradient += step, output += outputStep) {
      sum += f64(loadElement(gradient, dtype)) * f64(loadElement(output, outputDtype))
    }
    store<f32>(target, f32(sum))
  }
}

/** Describes a panel for the gradient. */
export function describeGradientPanel(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, panel: usize): void {
  rows.describePanel(problem, batch, keyHead, first, end, panel)
  const heads = int(problem, record.queryHeads), length = int(problem, record.queryLength)
  for (let lane = 0; lane < rows.panelRows; lane++) {
    const at = panel + (lane << 2)
    const number = usize((batch * heads + load<i32>(at, rows.heads)) * length + load<i32>(at, rows.indices)) << 2
    store<f32>(at, load<f32>(pointer(problem, record.lse) + number), logSums)
    store<f32>(at, load<f32>(pointer(problem, record.partials) + number), outputProducts)
  }
}

/** The gradient of the output of one of a panel's rows. */
export function readOutputGradient(problem: usize, batch: i32, panel: usize, lane: i32, target: usize): void {
  const at = panel + (lane << 2)
  const source = vectorOf(problem, record.dOutput, batch, load<i32>(at, rows.heads), load<i32>(at, rows.indices))
  loadElements(source, int(problem, record.dOutput + record.elementStride), int(problem, record.dOutput + record.dtype), int(problem, record.valueDim), target)
}

/** The panel's output gradients as [valueDim][8]. `vectors` is room for four. */
export function packOutputGradients(problem: usize, batch: i32, panel: usize, target: usize, vectors: usize): void {
  const bytes = vectorBytes(problem)
  for (let half = 0; half < rows.panelRows; half += 4) {
    for (let lane = 0; lane < 4; lane++) readOutputGradient(problem, batch, panel, half + lane, vectors + lane * bytes)
    packFour(vectors, vectors + bytes, vectors + 2 * bytes, vectors + 3 * bytes, int(problem, record.valueDim), target + (half << 2), 32)
  }
}

/**
 * From packed keys, values, queries and output gradients: weights p at `tiles` and ds after them, as [key][8]. Both are
 * exactly 0 for hidden pairs.
 */
export function pairGradients(
  problem: usize, panel: usize, at: i32, keys: i32, k: usize, v: usize, q: usize, dO: usize, tiles: usize, registers: usize,
): void {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const packedKeys = wholeBlocks(keys)
  const s = tiles, ds = tiles + tileBytes, before = ds + tileBytes
  for (let j = 0; j < packedKeys; j += 4) {
    product(k + (usize(j * headDim) << 2), 16, q, panelRow, headDim, s + j * keyScoresBytes, keyScoresBytes, 0)
    product(v + (usize(j * valueDim) << 2), 16, dO, panelRow, valueDim, ds + j * keyScoresBytes, keyScoresBytes, 0)
  }
  const changed = changesScores(problem)
  if (changed) {
    capAndBias(problem, panel, s, at, keys)
    memory.copy(before, s, tileBytes)
    changeByExpression(problem, panel, s, at, keys, registers)
  }
  if (tileClass(problem, panel, at) == partial) hideByMasks(problem, panel, s, at, keys, registers)
  if (!rows.seesAll(panel, at, at + packedKeys)) hideOutside(panel, s, at, packedKeys)
  const dropped = int(problem, record.dropoutThreshold) != 0
  if (dropped) dropWeights(problem, panel, ds, at, keys)
  weightsAndGradients(panel, s, ds, packedKeys)
  if (dropped) dropWeights(problem, panel, s, at, keys)
  if (changed) throughChanges(problem, panel, before, ds, at, keys, registers)
}

/** p = e^(s − lse), at most 1 however large scores are rounded; ds = p ∘ (dp − D). */
function weightsAndGradients(panel: usize, s: usize, ds: usize, keys: i32): void {
  for (let half: usize = 0; half < 32; half += 16) {
    const lse = zeroWhereEmpty(v128.load(panel + half, logSums))
    const d = v128.load(panel + half, outputProducts)
    const end = s + usize(keys) * keyScoresBytes
    for (let from = s + half, to = ds + half; from < end; from += keyScoresBytes, to += keyScoresBytes) {
      const score = v128.load(from)
      const p = exp(f32x4.pmin(f32x4.sub(score, lse), splat(0)))
      const gradient = f32x4.mul(p, f32x4.sub(v128.load(to), d))
      // Hidden pairs are 0 also where the row's lse is NaN.
      const hidden = f32x4.eq(score, splat(negativeInfinity))
      v128.store(from, v128.andnot(p, hidden))
      v128.store(to, v128.andnot(gradient, hidden))
    }
  }
}

/**
 * ds of the final scores → of the scaled products: times the expression's slope, then 1 − (capped / softcap)². A problem
 * with a bias has no gradient here, so what comes before the expression is the capped score.
 */
function throughChanges(problem: usize, panel: usize, before: usize, ds: usize, at: i32, keys: i32, registers: usize): void {
  const program = pointer(problem, record.slopeProgram)
  const end = usize(keys) * keyScoresBytes
  if (program != 0) {
    const slopes = evaluate(program, panel, before, at, keys, registers)
    for (let i: usize = 0; i < end; i += 16) v128.store(ds + i, timesSlope(v128.load(ds + i), v128.load(slopes + i)))
  }
  const softcap = float(problem, record.softcap)
  if (softcap == 0) return
  for (let i: usize = 0; i < end; i += 16) {
    const t = f32x4.div(v128.load(before + i), splat(softcap))
    v128.store(ds + i, timesSlope(v128.load(ds + i), negativeMultiplyAdd(t, t, splat(1))))
  }
}

/** Hidden pairs stay 0 whatever the slope, which may be infinite or NaN there. */
// @ts-ignore: decorator
@inline
function timesSlope(gradient: v128, slope: v128): v128 {
  return v128.andnot(f32x4.mul(gradient, slope), f32x4.eq(gradient, splat(0)))
}
