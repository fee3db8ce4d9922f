/**
 * Attention of one query tile: FlashAttention's forward pass on one thread.
 *
 *     pack the tile's queries, scaled, into panels of 8 rows
 *     for each tile of 64 keys that any of the rows sees:
 *         pack its keys in blocks of 4, its values in panels of 8 columns
 *         for each panel of rows:
 *             s = k · qᵀ                    scores, rows as lanes
 *             s → softcap, bias, masks      only where there are any
 *             p = softmax of s so far       (softmax.ts)
 *             o = rescale · o + pᵀ · v
 *     output = o / l,  lse = m + log l
 *
 * The score matrix exists 64 × 8 at a time. A tile of keys and values is packed once for all rows of the query tile; a
 * panel's queries, scores and outputs stay in the first-level cache while it is worked on.
 */
import * as record from '../src/wasm/record'
import { dropWeights } from './dropout'
import { loadElements, loadQuantized, storeElements } from './elements'
import { packAcross, packFour, wholeBlocks, wholePanels } from './pack'
import { float, int, pointer, validKeys, vectorOf } from './problem'
import { product } from './product'
import * as rows from './rows'
import { changesScores, changeScores, hideOutside } from './scores'
import { keyScoresBytes, softmaxTile } from './softmax'
import { splat } from './vector'

export const tileKeys: i32 = 64
const tileScoresBytes: usize = usize(tileKeys * keyScoresBytes)

/** Bytes of scratch memory that a thread needs. */
export function prefillScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  return keyTile(0, headDim, valueDim, int(problem, record.tileRows)) + usize(tileKeys * headDim) * 4 +
    usize(tileKeys * wholePanels(valueDim)) * 4 + usize(int(problem, record.registers)) * tileScoresBytes
}

/** Scratch memory from its start: panel descriptions, one panel's scores, four loose vectors, queries, outputs, keys, values, registers. */
// @ts-ignore: decorator
@inline
function scoreTile(scratch: usize, tileRows: i32): usize {
  return scratch + (usize(tileRows) / rows.panelRows) * rows.panelBytes
}
// @ts-ignore: decorator
@inline
function looseVectors(scratch: usize, tileRows: i32): usize {
  return scoreTile(scratch, tileRows) + tileScoresBytes
}
// @ts-ignore: decorator
@inline
function queryTile(scratch: usize, headDim: i32, valueDim: i32, tileRows: i32): usize {
  return looseVectors(scratch, tileRows) + 4 * vectorBytes(headDim, valueDim)
}
// @ts-ignore: decorator
@inline
function outputTile(scratch: usize, headDim: i32, valueDim: i32, tileRows: i32): usize {
  return queryTile(scratch, headDim, valueDim, tileRows) + usize(tileRows * headDim) * 4
}
// @ts-ignore: decorator
@inline
function keyTile(scratch: usize, headDim: i32, valueDim: i32, tileRows: i32): usize {
  return outputTile(scratch, headDim, valueDim, tileRows) + usize(tileRows * wholePanels(valueDim)) * 4
}
// @ts-ignore: decorator
@inline
function vectorBytes(headDim: i32, valueDim: i32): usize {
  return usize(wholePanels(max(headDim, valueDim))) * 4
}

/**
 * One query tile of one key head of one batch entry. Units of a head run from its last tile to its first: under a causal
 * mask the last ones cost most, and what is left for the end is then small.
 */
export function prefill(problem: usize, unit: i32, scratch: usize): void {
  const tiles = int(problem, record.tiles), keyHeads = int(problem, record.keyHeads)
  const sequence = unit / tiles
  attendTile(problem, sequence / keyHeads, sequence % keyHeads, tiles - 1 - unit % tiles, scratch)
}

function attendTile(problem: usize, batch: i32, keyHead: i32, tile: i32, scratch: usize): void {
  const tileRows = int(problem, record.tileRows)
  const headDim = int(problem, record.headDim), valueDim = int(problem, record.valueDim)
  const first = tile * tileRows
  const end = min(first + tileRows, int(problem, record.queryLength) * int(problem, record.group))
  const panels = (end - first + rows.panelRows - 1) / rows.panelRows
  const s = scoreTile(scratch, tileRows), vectors = looseVectors(scratch, tileRows)
  const q = queryTile(scratch, headDim, valueDim, tileRows), o = outputTile(scratch, headDim, valueDim, tileRows)
  const k = keyTile(scratch, headDim, valueDim, tileRows), v = k + usize(tileKeys * headDim) * 4
  const registers = v + usize(tileKeys * wholePanels(valueDim)) * 4
  const queryPanelBytes = usize(headDim) << 5, outputPanelBytes = usize(wholePanels(valueDim)) << 5

  let firstKey = i32.MAX_VALUE, endKey = 0
  for (let panel = 0; panel < panels; panel++) {
    const description = scratch + panel * rows.panelBytes
    rows.describePanel(problem, batch, keyHead, first + panel * rows.panelRows, end, description)
    packQueries(problem, batch, description, q + panel * queryPanelBytes, vectors)
    firstKey = min(firstKey, load<i32>(description, rows.lowestFirst))
    endKey = max(endKey, load<i32>(description, rows.highestEnd))
  }
  memory.fill(o, 0, panels * outputPanelBytes)

  const changed = changesScores(problem), dropped = int(problem, record.dropoutThreshold) != 0
  for (let at = firstKey & -tileKeys; at < endKey; at += tileKeys) {
    const keys = min(tileKeys, endKey - at), packedKeys = wholeBlocks(keys)
    packKeys(problem, batch, keyHead, at, keys, k, vectors)
    const special = packValues(problem, batch, keyHead, at, keys, v, vectors)
    for (let panel = 0; panel < panels; panel++) {
      const description = scratch + panel * rows.panelBytes
      if (rows.seesNone(description, at, at + keys)) continue
      const panelQueries = q + panel * queryPanelBytes
      for (let j = 0; j < packedKeys; j += 4) product(k + (usize(j * headDim) << 2), 16, panelQueries, headDim, s + j * keyScoresBytes, keyScoresBytes, 0)
      if (changed) changeScores(problem, description, s, at, keys, registers)
      const partial = !rows.seesAll(description, at, at + packedKeys)
      if (partial) hideOutside(description, s, at, packedKeys)
      softmaxTile(s, packedKeys, description + rows.maxima, description + rows.sums, description + rows.rescales)
      if (dropped) dropWeights(problem, description, s, at, keys)
      const panelOutputs = o + panel * outputPanelBytes
      if (special && (partial || changed)) weighSpecialValues(s, v, keys, valueDim, panelOutputs, description + rows.rescales)
      else weighValues(s, v, keys, valueDim, panelOutputs, description + rows.rescales)
    }
  }
  for (let panel = 0; panel < panels; panel++) {
    const lanes = min(rows.panelRows, end - first - panel * rows.panelRows)
    finishPanel(problem, batch, scratch + panel * rows.panelBytes, o + panel * outputPanelBytes, lanes)
  }
}

function packQueries(problem: usize, batch: i32, panel: usize, target: usize, vectors: usize): void {
  const headDim = int(problem, record.headDim)
  const dtype = int(problem, record.query + record.dtype), step = int(problem, record.query + record.elementStride)
  const scale = load<f64>(problem, record.scale)
  const bytes = usize(wholePanels(headDim)) << 2
  for (let half = 0; half < rows.panelRows; half += 4) {
    for (let lane = 0; lane < 4; lane++) {
      const at = panel + ((half + lane) << 2)
      const vector = vectors + lane * bytes
      loadElements(vectorOf(problem, record.query, batch, load<i32>(at, rows.heads), load<i32>(at, rows.indices)), step, dtype, headDim, vector)
      scaleVector(vector, headDim, scale)
    }
    packFour(vectors, vectors + bytes, vectors + 2 * bytes, vectors + 3 * bytes, headDim, target + (half << 2), 32)
  }
}

/** In float64, so that scale and product are rounded once. */
function scaleVector(vector: usize, n: i32, scale: f64): void {
  const end = vector + (usize(n) << 2)
  for (; vector < end; vector += 4) store<f32>(vector, f32(f64(load<f32>(vector)) * scale))
}

/** Keys in blocks of 4, [headDim][4] each; those that fill up the last block are zero. */
function packKeys(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): void {
  const headDim = int(problem, record.headDim)
  const bytes = usize(wholePanels(headDim)) << 2
  for (let j = 0; j < keys; j += 4) {
    const a = readKey(problem, batch, keyHead, first + j, vectors)
    const b = j + 1 < keys ? readKey(problem, batch, keyHead, first + j + 1, vectors + bytes) : zeros(vectors + bytes, headDim)
    const c = j + 2 < keys ? readKey(problem, batch, keyHead, first + j + 2, vectors + 2 * bytes) : zeros(vectors + 2 * bytes, headDim)
    const d = j + 3 < keys ? readKey(problem, batch, keyHead, first + j + 3, vectors + 3 * bytes) : zeros(vectors + 3 * bytes, headDim)
    packFour(a, b, c, d, headDim, target, 16)
    target += usize(headDim) << 4
  }
}

function zeros(vector: usize, n: i32): usize {
  memory.fill(vector, 0, usize(n) << 2)
  return vector
}

/** Values in panels of 8 columns, [64][8] each. Whether any is infinite or NaN. */
function packValues(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): bool {
  const valueDim = int(problem, record.valueDim)
  let special = splat(0)
  for (let j = 0; j < keys; j++) {
    special = f32x4.add(special, packAcross(readValue(problem, batch, keyHead, first + j, vectors), valueDim, j, target, usize(tileKeys) << 5))
  }
  return v128.any_true(f32x4.ne(special, special))
}

/** Where a key lies as float32: in place, or converted into `room`. */
function readKey(problem: usize, batch: i32, keyHead: i32, key: i32, room: usize): usize {
  return readVector(problem, record.key, record.keyScales, record.keyGroupSize, record.headDim, batch, keyHead, key, room)
}

function readValue(problem: usize, batch: i32, keyHead: i32, key: i32, room: usize): usize {
  return readVector(problem, record.value, record.valueScales, record.valueGroupSize, record.valueDim, batch, keyHead, key, room)
}

// @ts-ignore: decorator
@inline
function readVector(
  problem: usize, tensor: i32, scales: i32, groupSize: i32, dim: i32, batch: i32, head: i32, row: i32, room: usize,
): usize {
  const dtype = int(problem, tensor + record.dtype), step = int(problem, tensor + record.elementStride)
  const source = vectorOf(problem, tensor, batch, head, row)
  if (dtype == record.float32 && step == 4) return source
  if (pointer(problem, scales) == 0) loadElements(source, step, dtype, int(problem, dim), room)
  else {
    loadQuantized(
      source, step, dtype, int(problem, dim), vectorOf(problem, scales, batch, head, row),
      int(problem, scales + record.elementStride), int(problem, groupSize), room,
    )
  }
  return room
}

/** o[8][valueDim] = rescale · o + pᵀ · v */
function weighValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let column = 0; column < valueDim; column += 8) {
    const values = v + usize(column * tileKeys) * 4
    const outputs = o + (usize(column) << 2)
    product(p, 32, values, keys, outputs, rowBytes, rescales)
    product(p + 16, 32, values, keys, outputs + 4 * rowBytes, rowBytes, rescales + 16)
  }
}

/** The same where values may be infinite or NaN: a key of no weight is then left out, since 0 · NaN is not 0. */
function weighSpecialValues(p: usize, v: usize, keys: i32, valueDim: i32, o: usize, rescales: usize): void {
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let row = 0; row < rows.panelRows; row++) {
    const rescale = load<f32>(rescales + (row << 2))
    for (let column = 0; column < valueDim; column++) {
      const at = o + row * rowBytes + (column << 2)
      let sum = load<f32>(at) * rescale
      for (let j = 0; j < keys; j++) {
        const weight = load<f32>(p + j * keyScoresBytes + (row << 2))
        if (weight != 0) sum += weight * load<f32>(v + (((column >> 3) * tileKeys + j) << 5) + ((column & 7) << 2))
      }
      store<f32>(at, sum)
    }
  }
}

/** output = o / l and lse = m + log l, of the panel's first `lanes` rows; a row that saw nothing is 0 and −∞. */
function finishPanel(problem: usize, batch: i32, panel: usize, o: usize, lanes: i32): void {
  const valueDim = int(problem, record.valueDim)
  const dtype = int(problem, record.output + record.dtype), step = int(problem, record.output + record.elementStride)
  const lse = pointer(problem, record.lse)
  const queryHeads = int(problem, record.queryHeads), queryLength = int(problem, record.queryLength)
  const rowBytes = usize(wholePanels(valueDim)) << 2
  for (let lane = 0; lane < lanes; lane++, o += rowBytes) {
    const at = panel + (lane << 2)
    const head = load<i32>(at, rows.heads), row = load<i32>(at, rows.indices)
    const l = load<f32>(at, rows.sums)
    if (l != 0) divide(o, valueDim, l)
    storeElements(o, valueDim, vectorOf(problem, record.output, batch, head, row), step, dtype)
    if (lse != 0) {
      const number = (batch * queryHeads + head) * queryLength + row
      store<f32>(lse + (usize(number) << 2), l == 0 ? -Infinity : load<f32>(at, rows.maxima) + Mathf.log(l))
    }
  }
}

function divide(vector: usize, n: i32, divisor: f32): void {
  const end = vector + (usize(n) << 2)
  for (; vector < end; vector += 16) v128.store(vector, f32x4.div(v128.load(vector), splat(divisor)))
}
