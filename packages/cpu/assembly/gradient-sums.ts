/**
 * The gradient of a tensor that scores are made of besides queries and keys: the bias, or one that the score expression
 * reads. Each pair of a query and a key gives to one element of it, for each place where the score reads it:
 *
 *     for each tile of pairs of this part:
 *         ds = gradients of the final scores                        (gradient.ts)
 *         for each read:  sums[element] += ds · slope               element and slope by programs (expression.ts)
 *
 * A unit of work is a part of all pairs, cut along batch entries, key heads, rows and keys such that no two parts give to
 * the same element; or parts of the rows have sums of their own, which the host adds up in order. How pairs are cut follows
 * from the problem alone, so the bits are the same for any number of threads.
 */
import * as record from '../src/wasm/record'
import { evaluate } from './expression'
import { ds, layOutPairs, packTile, registers, scoreGradients, scoresBefore, timesSlopes, vectors } from './gradient'
import * as tile from './gradient-rows'
import { tileKeys } from './operands'
import { int, pointer } from './problem'
import * as rows from './rows'
import { startAt, takeFloats, taken } from './scratch'
import { keyScoresBytes } from './softmax'
import { anySees, empty, tileClass } from './tile-map'

/** Rows that keys are packed for at a time. */
const tileRows: i32 = 128

/** What a tile of pairs gives, [key][8 rows]. */
let given: usize

function layOut(problem: usize, scratch: usize): usize {
  startAt(scratch)
  tile.layOutQueryTile(problem, tileRows)
  layOutPairs(problem)
  given = takeFloats(tileKeys * rows.panelRows)
  return taken()
}

export function gradientSumsScratch(problem: usize, _unit: i32, _scratch: usize): usize {
  return layOut(problem, 0)
}

/** One part: of the batch entries, of the key heads, of the rows, of the keys, the last running fastest. */
export function gradientSums(problem: usize, unit: i32, scratch: usize): void {
  layOut(problem, scratch)
  const rowCount = int(problem, record.queryLength) * int(problem, record.group), keyLength = int(problem, record.keyLength)
  const partRows = int(problem, record.partRows), partKeys = int(problem, record.partKeys)
  const keyParts = (keyLength + partKeys - 1) / partKeys, rowParts = (rowCount + partRows - 1) / partRows
  const keyPart = unit % keyParts, rowPart = unit / keyParts % rowParts, sequencePart = unit / keyParts / rowParts
  const batches = int(problem, record.batch), batchParts = int(problem, record.batchParts)
  const keyHeads = int(problem, record.keyHeads), headParts = int(problem, record.headParts)
  const batchPart = sequencePart / headParts, headPart = sequencePart % headParts
  const firstRow = rowPart * partRows, endRow = min(firstRow + partRows, rowCount)
  const firstKey = keyPart * partKeys, endKey = min(firstKey + partKeys, keyLength)
  const sums = pointer(problem, record.sums) + usize(rowPart) * usize(int(problem, record.copyBytes))
  for (let batch = batches * batchPart / batchParts; batch < batches * (batchPart + 1) / batchParts; batch++) {
    for (let head = keyHeads * headPart / headParts; head < keyHeads * (headPart + 1) / headParts; head++) {
      for (let row = firstRow; row < endRow; row += tileRows) {
        addRows(problem, batch, head, row, min(row + tileRows, endRow), firstKey, endKey, sums)
      }
    }
  }
}

/** What rows `first` to `end` give with those of the keys that they see. */
function addRows(problem: usize, batch: i32, keyHead: i32, first: i32, end: i32, firstKey: i32, endKey: i32, sums: usize): void {
  tile.packQueryTile(problem, batch, keyHead, first, end, vectors)
  const seenEnd = min(endKey, tile.endKey)
  for (let at = max(firstKey, tile.firstKey & -tileKeys); at < seenEnd; at += tileKeys) {
    const keys = min(tileKeys, seenEnd - at)
    if (!anySees(problem, tile.panelsAt, tile.panels, at, at + keys)) continue
    packTile(problem, batch, keyHead, at, keys)
    for (let i = 0; i < tile.panels; i++) {
      const panel = tile.panelsAt + i * rows.panelBytes
      if (rows.seesNone(panel, at, at + keys) || tileClass(problem, panel, at) == empty) continue
      scoreGradients(problem, panel, at, keys, tile.queriesOf(problem, i), tile.outputGradientsOf(problem, i))
      addReads(problem, panel, min(rows.panelRows, end - first - i * rows.panelRows), at, keys, sums)
    }
  }
}

/** What a tile of pairs gives, of a panel of which `lanes` rows exist. Without a program, slopes are 1. */
function addReads(problem: usize, panel: usize, lanes: i32, at: i32, keys: i32, sums: usize): void {
  const inDouble = int(problem, record.sumBytes) == 8
  let read = pointer(problem, record.reads)
  for (const end = read + (usize(int(problem, record.readCount)) << 3); read < end; read += 8) {
    const element = load<usize>(read), slope = load<usize>(read, 4)
    if (slope == 0) memory.copy(given, ds, usize(keys) * keyScoresBytes)
    else timesSlopes(evaluate(slope, panel, scoresBefore, at, keys, registers), keys, given)
    const elements = evaluate(element, panel, scoresBefore, at, keys, registers)
    if (inDouble) addGiven<f64>(elements, keys, lanes, sums)
    else addGiven<f32>(elements, keys, lanes, sums)
  }
}

/** Hidden pairs give 0, and may stand for elements that do not exist. */
function addGiven<T>(elements: usize, keys: i32, lanes: i32, sums: usize): void {
  for (let key: usize = 0, end = usize(keys) * keyScoresBytes; key < end; key += keyScoresBytes) {
    for (let at = key, last = key + (usize(lanes) << 2); at < last; at += 4) {
      const value = load<f32>(given + at)
      if (value == 0) continue
      const sum = sums + usize(load<u32>(elements + at)) * sizeof<T>()
      store<T>(sum, load<T>(sum) + <T>value)
    }
  }
}
