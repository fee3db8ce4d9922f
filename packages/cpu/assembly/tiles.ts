/**
 * A tile of keys and their values as the products of `prefill.ts` read them: packed, or where they lie.
 *
 * A packed tile is read in straight lines, but packing it is a pass of its own. That pays where many panels of rows read the
 * tile; few take it as it lies, if it is float32 without gaps. What is computed is the same bits either way.
 */
import * as record from '../src/wasm/record'
import { packKeys, packValues, panelBytes, tileKeys } from './operands'
import { int, vectorOf } from './problem'
import { blockRows, panelRow } from './product'
import { takeFloats } from './scratch'
import { wholePanels } from './pack'
import { anySpecial } from './values'

/** The first key; bytes from one key to the next, first of their blocks, between the keys of a block, and between elements. */
export let keys: usize, keyBytes: isize, keyRow: isize, keyStep: usize
/** Whether they are where they lie, so that any four neighbours are a block; and where they do, packed or not. */
export let keysInPlace: bool, keysAt: usize
/** The first value; bytes from one value to the next, and between its groups of 8 columns. */
export let values: usize, valueRow: isize, valuePanel: usize
let count: i32, special: i32
/** Room for what is packed. */
let packedKeys: usize, packedValues: usize

/** How many panels make packing pay, for values whatever the places they lie at, and for any. */
const somePanels: i32 = 3, manyPanels: i32 = 16
/** Not looked for yet. */
const unknown: i32 = -1

export function layOutTile(problem: usize): void {
  packedKeys = takeFloats(tileKeys * int(problem, record.headDim))
  packedValues = takeFloats(tileKeys * wholePanels(int(problem, record.valueDim)))
}

/** The keys `at` to `at + keyCount` and their values, for `panels` panels of rows. `vectors` is room for four. */
export function readTile(problem: usize, batch: i32, keyHead: i32, at: i32, keyCount: i32, panels: i32, vectors: usize): void {
  count = keyCount
  keysAt = vectorOf(problem, record.key, batch, keyHead, at)
  keysInPlace = panels < manyPanels && count >= blockRows && haveNoGaps(problem, record.key)
  if (keysInPlace) {
    keys = keysAt
    keyBytes = keyRow = int(problem, record.key + record.rowStride), keyStep = 4
  } else {
    packKeys(problem, batch, keyHead, at, count, packedKeys, vectors)
    keys = packedKeys
    keyBytes = int(problem, record.headDim) << 2, keyRow = 4, keyStep = 4 * blockRows
  }

  const stride = int(problem, record.value + record.rowStride)
  if (panels < (crowd(stride) ? somePanels : manyPanels) && haveNoGaps(problem, record.value) && (int(problem, record.valueDim) & 7) == 0) {
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
export function haveNoGaps(problem: usize, tensor: i32): bool {
  return int(problem, tensor + record.dtype) == record.float32 && int(problem, tensor + record.elementStride) == 4
}

/**
 * Whether columns of the tile drive each other out of the first-level cache: addresses that a large power of two divides
 * share few of its places.
 */
function crowd(stride: i32): bool {
  return count * (stride & -stride) > 16384
}
