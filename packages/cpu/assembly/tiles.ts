/**
 * A tile of keys and their values as the products of `prefill.ts` read them: packed, or where they lie.
 *
 * A packed tile is read in straight lines, but packing it is a pass of its own. That pays where many panels of rows read the
 * tile; few take it as it lies, if it is float32 without gaps. What is computed is the same bits either way.
 */
import * as record from '../src/wasm/record'
import { packKeys, packValues, panelBytes, tileKeys } from './operands'
import { wholePanels } from './pack'
import { int, vectorOf } from './problem'
import { blockRows, panelRow } from './product'
import { takeFloats } from './scratch'
import { anySpecial } from './values'

/** The first key; bytes from one key to the next, first of their blocks, between the keys of a block, and between elements. */
export let keys: usize, keyBytes: isize, keyRow: isize, keyStep: usize
/** Whether that is where they lie, so that any four neighbours are a block. */
export let keysInPlace: bool
/** The first value; bytes from one value to the next, and between its groups of 8 columns. */
export let values: usize, valueRow: isize, valuePanel: usize
/** How many keys there are, and whether any of their values is infinite or NaN. */
let count: i32, special: i32
/** Room for what is packed, and for four vectors on their way there. */
let packedKeys: usize, packedValues: usize, vectors: usize

/** From how many rows on packing pays; and where what lies in place drives itself out of the cache. */
const manyRows: i32 = 128, someRows: i32 = 24
/** Not looked for yet. */
const unknown: i32 = -1

export function layOutTile(problem: usize, fourVectors: usize): void {
  packedKeys = takeFloats(tileKeys * int(problem, record.headDim))
  packedValues = takeFloats(tileKeys * wholePanels(int(problem, record.valueDim)))
  vectors = fourVectors
}

/** The keys `at` to `at + keyCount` and their values, for so many rows. */
export function readTile(problem: usize, batch: i32, keyHead: i32, at: i32, keyCount: i32, rowCount: i32): void {
  count = keyCount
  readKeys(problem, batch, keyHead, at, rowCount)
  readValues(problem, batch, keyHead, at, rowCount)
}

function readKeys(problem: usize, batch: i32, keyHead: i32, at: i32, rowCount: i32): void {
  keysInPlace = rowCount < manyRows && count >= blockRows && haveNoGaps(problem, record.key)
  if (keysInPlace) {
    keys = vectorOf(problem, record.key, batch, keyHead, at)
    keyBytes = keyRow = int(problem, record.key + record.rowStride), keyStep = 4
  } else {
    packKeys(problem, batch, keyHead, at, count, packedKeys, vectors)
    keys = packedKeys
    keyBytes = int(problem, record.headDim) << 2, keyRow = 4, keyStep = 4 * blockRows
  }
}

function readValues(problem: usize, batch: i32, keyHead: i32, at: i32, rowCount: i32): void {
  const stride = int(problem, record.value + record.rowStride), wholeGroups = (int(problem, record.valueDim) & 7) == 0
  if (rowCount < (crowd(stride) ? someRows : manyRows) && wholeGroups && haveNoGaps(problem, record.value)) {
    values = vectorOf(problem, record.value, batch, keyHead, at)
    valueRow = stride, valuePanel = panelRow
    special = unknown
  } else {
    special = i32(packValues(problem, batch, keyHead, at, count, packedValues, vectors))
    values = packedValues
    valueRow = panelRow, valuePanel = panelBytes
  }
}

/** Whether any value of the tile is infinite or NaN. */
export function hasSpecialValues(problem: usize): bool {
  if (special == unknown) special = i32(anySpecial(values, valueRow, count, int(problem, record.valueDim)))
  return special != 0
}

/** Whether vectors are float32, element by element. */
function haveNoGaps(problem: usize, tensor: i32): bool {
  return int(problem, tensor + record.dtype) == record.float32 && int(problem, tensor + record.elementStride) == 4
}

/** Whether a tile's vectors, so far apart, drive each other out of the first-level cache: multiples of a power of two share places. */
function crowd(stride: i32): bool {
  return count * (stride & -stride) > 16384
}
