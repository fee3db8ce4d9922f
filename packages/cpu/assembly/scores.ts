/**
 * What a tile of scores goes through between q·k and the softmax, in the order that attention defines it:
 *
 *     softcap · tanh(s / softcap)  →  + bias  →  score expression  →  −∞ where the key is hidden
 *
 * Scores lie as s[key][8 rows]. A bias of −∞ hides a key whatever its score is, NaN included; so does a mask, and so do
 * causality, window and length, which are two comparisons with each row's own range of keys.
 */
import * as record from '../src/wasm/record'
import { loadElement } from './elements'
import { evaluate } from './expression'
import { float, int, pointer } from './problem'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { tanh } from './tanh'
import { negativeInfinity, splat } from './vector'

/** Whether scores of visible keys go through anything at all. */
export function changesScores(problem: usize): bool {
  return float(problem, record.softcap) != 0 || int(problem, record.bias) != 0 || int(problem, record.scoreProgram) != 0
}

/** Keys `firstKey ≤ key < firstKey + keys` of the panel whose rows are described at `panel`. */
export function changeScores(problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): void {
  capScores(problem, s, keys)
  addBias(problem, panel, s, firstKey, keys)
  changeByExpression(problem, panel, s, firstKey, keys, registers)
}

export function capScores(problem: usize, s: usize, keys: i32): void {
  const softcap = float(problem, record.softcap)
  if (softcap == 0) return
  const cap = splat(softcap)
  const end = s + usize(keys) * keyScoresBytes
  for (; s < end; s += 16) v128.store(s, f32x4.mul(cap, tanh(f32x4.div(v128.load(s), cap))))
}

export function addBias(problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32): void {
  if (int(problem, record.bias) == 0) return
  const dtype = int(problem, record.bias + record.dtype)
  const step = int(problem, record.bias + record.elementStride)
  for (let row = 0; row < rows.panelRows; row++) {
    let bias = load<usize>(panel + (row << 2), rows.biases) + firstKey * step
    let at = s + (row << 2)
    const end = at + usize(keys) * keyScoresBytes
    for (; at < end; at += keyScoresBytes, bias += step) {
      const b = loadElement(bias, dtype)
      store<f32>(at, b == negativeInfinity ? negativeInfinity : load<f32>(at) + b)
    }
  }
}

/** A score of −∞ stays hidden, whatever the expression makes of it. */
export function changeByExpression(problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): void {
  const program = pointer(problem, record.scoreProgram)
  if (program == 0) return
  const result = evaluate(program, panel, s, firstKey, keys, registers)
  const end = usize(keys) * keyScoresBytes
  for (let at: usize = 0; at < end; at += 16) {
    const before = v128.load(s + at)
    const hidden = f32x4.eq(before, splat(negativeInfinity))
    v128.store(s + at, v128.bitselect(before, v128.load(result + at), hidden))
  }
}

export function hideByMasks(problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): void {
  if (int(problem, record.mask) != 0) hideMasked(problem, panel, s, firstKey, keys)
  const program = pointer(problem, record.maskProgram)
  if (program != 0) hideByExpression(program, panel, s, firstKey, keys, registers)
}

function hideMasked(problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32): void {
  const step = int(problem, record.mask + record.elementStride)
  for (let row = 0; row < rows.panelRows; row++) {
    let allowed = load<usize>(panel + (row << 2), rows.masks) + firstKey * step
    let at = s + (row << 2)
    const end = at + usize(keys) * keyScoresBytes
    for (; at < end; at += keyScoresBytes, allowed += step) if (load<u8>(allowed) == 0) store<f32>(at, negativeInfinity)
  }
}

function hideByExpression(program: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): void {
  const allowed = evaluate(program, panel, s, firstKey, keys, registers)
  const end = usize(keys) * keyScoresBytes
  for (let at: usize = 0; at < end; at += 16) {
    v128.store(s + at, v128.bitselect(v128.load(s + at), splat(negativeInfinity), v128.load(allowed + at)))
  }
}

/** −∞ outside each row's own range of keys. */
export function hideOutside(panel: usize, s: usize, firstKey: i32, keys: i32): void {
  const first0 = v128.load(panel, rows.firsts), first1 = v128.load(panel, rows.firsts + 16)
  const end0 = v128.load(panel, rows.ends), end1 = v128.load(panel, rows.ends + 16)
  const hidden = splat(negativeInfinity)
  for (let key = firstKey; key < firstKey + keys; key++, s += keyScoresBytes) {
    const at = i32x4.splat(key)
    const visible0 = v128.and(i32x4.ge_s(at, first0), i32x4.lt_s(at, end0))
    const visible1 = v128.and(i32x4.ge_s(at, first1), i32x4.lt_s(at, end1))
    v128.store(s, v128.bitselect(v128.load(s), hidden, visible0))
    v128.store(s, v128.bitselect(v128.load(s, 16), hidden, visible1), 16)
  }
}
