/** Queries, keys and values on their way from where they lie, in any dtype and order, into tiles of float32. */
import * as record from '../src/wasm/record'
import { asFloats, loadElements, loadQuantized } from './elements'
import { packAcross, packFour, wholeBlocks, wholePanels } from './pack'
import { int, pointer, vectorOf } from './problem'
import * as rows from './rows'
import { splat } from './vector'

/** Keys of a tile. */
export const tileKeys: i32 = record.tileKeys

/** Bytes of a packed tile's panel of 8 columns. */
export const panelBytes: usize = tileKeys << 5

/** Bytes of room for one vector, key or value. */
// @ts-ignore: decorator
@inline
export function vectorBytes(problem: usize): usize {
  return usize(wholePanels(max(int(problem, record.headDim), int(problem, record.valueDim)))) << 2
}

/**
 * The panel's queries, scaled, as [headDim][8]. `vectors` is room for four. Scaling rounds once: a scale that is no float32
 * is multiplied by in float64, beforehand.
 */
export function packQueries(problem: usize, batch: i32, panel: usize, target: usize, vectors: usize): void {
  const headDim = int(problem, record.headDim), bytes = vectorBytes(problem)
  const scale = load<f64>(problem, record.scale)
  const exact = f64(f32(scale)) == scale
  for (let lane = 0; lane < rows.panelRows; lane += 4, target += 16) {
    const a = queryVector(problem, batch, panel, lane, exact, vectors)
    const b = queryVector(problem, batch, panel, lane + 1, exact, vectors + bytes)
    const c = queryVector(problem, batch, panel, lane + 2, exact, vectors + 2 * bytes)
    const d = queryVector(problem, batch, panel, lane + 3, exact, vectors + 3 * bytes)
    packFour(a, b, c, d, headDim, target, 32, exact ? f32(scale) : 1)
  }
}

/** The scaled query of one of a panel's rows. */
export function readQuery(problem: usize, batch: i32, panel: usize, lane: i32, target: usize): void {
  const query = queryVector(problem, batch, panel, lane, true, target)
  scaleVector(query, int(problem, record.headDim), load<f64>(problem, record.scale), target)
}

/** Where the query of one of a panel's rows lies as float32: in place, or converted into `room`; scaled unless `asItIs`. */
function queryVector(problem: usize, batch: i32, panel: usize, lane: i32, asItIs: bool, room: usize): usize {
  const at = panel + (lane << 2), n = int(problem, record.headDim)
  const source = vectorOf(problem, record.query, batch, load<i32>(at, rows.heads), load<i32>(at, rows.indices))
  const vector = asFloats(source, int(problem, record.query + record.elementStride), int(problem, record.query + record.dtype), n, room)
  if (asItIs) return vector
  scaleVector(vector, n, load<f64>(problem, record.scale), room)
  return room
}

/** In float64, so that scale and product are rounded once. */
function scaleVector(vector: usize, n: i32, scale: f64, target: usize): void {
  const end = vector + (usize(n) << 2), whole = vector + (usize(n & ~3) << 2)
  const factor = f64x2.splat(scale)
  for (; vector < whole; vector += 16, target += 16) {
    const low = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.promote_low_f32x4(v128.load64_zero(vector)), factor))
    const high = f32x4.demote_f64x2_zero(f64x2.mul(f64x2.promote_low_f32x4(v128.load64_zero(vector, 8)), factor))
    v128.store(target, i8x16.shuffle(low, high, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23))
  }
  for (; vector < end; vector += 4, target += 4) store<f32>(target, f32(f64(load<f32>(vector)) * scale))
}

/** Keys in blocks of 4, [headDim][4] each; those that fill up the last block are zero. `vectors` is room for four. */
export function packKeys(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): void {
  packBlocks(problem, record.key, batch, keyHead, first, keys, target, vectors)
}

/** Values the same way, for products with them. */
export function packValueBlocks(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): void {
  packBlocks(problem, record.value, batch, keyHead, first, keys, target, vectors)
}

function packBlocks(problem: usize, tensor: i32, batch: i32, head: i32, first: i32, count: i32, target: usize, vectors: usize): void {
  const n = int(problem, tensor + record.dim)
  const bytes = vectorBytes(problem)
  for (let j = 0; j < count; j += 4, target += usize(n) << 4) {
    const a = readVector(problem, tensor, batch, head, first + j, vectors)
    const b = readOrZeros(problem, tensor, batch, head, first, j + 1, count, vectors + bytes)
    const c = readOrZeros(problem, tensor, batch, head, first, j + 2, count, vectors + 2 * bytes)
    const d = readOrZeros(problem, tensor, batch, head, first, j + 3, count, vectors + 3 * bytes)
    packFour(a, b, c, d, n, target, 16)
  }
}

/** Vector `j` of `count`, or zeros beyond the last. */
function readOrZeros(problem: usize, tensor: i32, batch: i32, head: i32, first: i32, j: i32, count: i32, room: usize): usize {
  if (j < count) return readVector(problem, tensor, batch, head, first + j, room)
  memory.fill(room, 0, usize(int(problem, tensor + record.dim)) << 2)
  return room
}

/** Values in panels of 8 columns, [64][8] each. Whether any is infinite or NaN. */
export function packValues(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): bool {
  return packPanels(problem, record.value, batch, keyHead, first, keys, target, vectors)
}

/** Keys the same way, for sums of them. */
export function packKeyPanels(problem: usize, batch: i32, keyHead: i32, first: i32, keys: i32, target: usize, vectors: usize): bool {
  return packPanels(problem, record.key, batch, keyHead, first, keys, target, vectors)
}

function packPanels(problem: usize, tensor: i32, batch: i32, head: i32, first: i32, count: i32, target: usize, vectors: usize): bool {
  const n = int(problem, tensor + record.dim)
  let special = splat(0)
  for (let j = 0; j < count; j++) {
    const vector = readVector(problem, tensor, batch, head, first + j, vectors)
    special = f32x4.add(special, packAcross(vector, n, j, target, panelBytes))
  }
  return v128.any_true(f32x4.ne(special, special))
}

/** Where a key or value lies as float32: in place, or converted into `room`. */
function readVector(problem: usize, tensor: i32, batch: i32, head: i32, row: i32, room: usize): usize {
  const dtype = int(problem, tensor + record.dtype), step = int(problem, tensor + record.elementStride)
  const source = vectorOf(problem, tensor, batch, head, row)
  if (dtype == record.float32 && step == 4) return source
  const n = int(problem, tensor + record.dim), scales = tensor + record.scales
  if (pointer(problem, scales) == 0) loadElements(source, step, dtype, n, room)
  else {
    const scalesAt = vectorOf(problem, scales, batch, head, row), scaleStep = int(problem, scales + record.elementStride)
    loadQuantized(source, step, dtype, n, scalesAt, scaleStep, int(problem, tensor + record.groupSize), room)
  }
  return room
}

/** Keys or values as float32 rows of whole fours, filled up with zeros, one after the other at `target`. */
export function widen(problem: usize, tensor: i32, batch: i32, head: i32, first: i32, count: i32, target: usize): void {
  const n = int(problem, tensor + record.dim)
  const wholeBytes = usize(n & ~3) << 2
  for (let j = 0; j < count; j++, target += usize(wholeBlocks(n)) << 2) {
    const source = readVector(problem, tensor, batch, head, first + j, target)
    for (let i = n & ~3; i < wholeBlocks(n); i++) {
      const offset = usize(i) << 2
      store<f32>(target + offset, i < n ? load<f32>(source + offset) : 0)
    }
    if (source == target) continue
    for (let i: usize = 0; i < wholeBytes; i += 16) v128.store(target + i, v128.load(source + i))
  }
}

/**
 * The dtype of vectors whose products can be taken where they lie, or −1: they are without gaps, and quantised ones have a
 * scale each.
 */
export function inPlace(problem: usize, tensor: i32): i32 {
  const dtype = int(problem, tensor + record.dtype)
  if (dtype > record.int8 || int(problem, tensor + record.elementStride) != elementBytes(dtype)) return -1
  return dtype != record.int8 || int(problem, tensor + record.groupSize) >= int(problem, tensor + record.dim) ? dtype : -1
}

/** Of a dtype of whole bytes. */
export function elementBytes(dtype: i32): i32 {
  return dtype == record.float32 ? 4 : dtype == record.int8 ? 1 : 2
}
