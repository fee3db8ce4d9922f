/**
 * Score and mask expressions, evaluated for a whole tile at once by a small interpreter.
 *
 * A program is a list of instructions in the order of evaluation. Each has a register for its result: a number for every
 * pair of a tile, as [key][8 rows], or for the 8 rows alone where the key does not matter. Numbers are float32, int32,
 * or truth as all bits 0 or 1. As words of 32 bits:
 *
 *     program       bytes of the program after this word, offset of the result, then instructions
 *     instruction   bytes of the instruction, opcode, offset of its register, bytes to its next key (32, or 0 for rows alone),
 *                   then operands: offset of a register, bytes to its next key; or what the opcode needs instead
 *
 * One instruction runs over the whole tile before the next, so decoding costs next to nothing.
 */
import * as opcode from '../src/wasm/opcodes'
import * as record from '../src/wasm/record'
import { loadElement } from './elements'
import { exp } from './exp'
import * as rows from './rows'
import { keyScoresBytes } from './softmax'
import { tanh } from './tanh'
import { negativeMultiplyAdd, splat } from './vector'

/** Bytes of an instruction before its operands, and of an operand. */
const headBytes: usize = 16
const operandBytes: usize = 8

/** The result for `keys` keys from `firstKey` on and the rows of a panel, with scores `s`: where it lies, [key][8]. */
export function evaluate(program: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): usize {
  const end = program + 4 + load<i32>(program)
  for (let at = program + 8; at < end; at += load<i32>(at)) {
    const target = registers + load<i32>(at, 8)
    const count = load<i32>(at, 12) == 0 ? 1 : keys
    run(load<i32>(at, 4), at + headBytes, target, count, panel, s, firstKey, registers)
  }
  return registers + load<i32>(program, 4)
}

function run(code: i32, operands: usize, target: usize, keys: i32, panel: usize, s: usize, firstKey: i32, registers: usize): void {
  const end = target + usize(keys) * keyScoresBytes
  if (code == opcode.score) memory.copy(target, s, end - target)
  else if (code == opcode.index) index(load<i32>(operands), target, end, panel, firstKey)
  else if (code == opcode.constant) fill(target, end, v128.load32_splat(operands))
  else if (code == opcode.captureFloat || code == opcode.captureInt) gather(code, operands, target, end, registers)
  else if (hasNoVector(code)) runByElement(code, operands, target, end, registers)
  else runByVector(code, operands, target, end, registers)
}

function fill(target: usize, end: usize, value: v128): void {
  for (; target < end; target += 16) v128.store(target, value)
}

function index(name: i32, target: usize, end: usize, panel: usize, firstKey: i32): void {
  if (name == opcode.key) {
    for (let key = firstKey; target < end; key++, target += keyScoresBytes) fill(target, target + keyScoresBytes, i32x4.splat(key))
    return
  }
  memory.copy(target, panel + ofRows(name), keyScoresBytes)
}

/** Where a panel's description has what rows differ by. */
function ofRows(name: i32): usize {
  switch (name) {
    case opcode.batch: return rows.batches
    case opcode.head: return rows.heads
    case opcode.query: return rows.positions
    default: return rows.indices
  }
}

/** Elements of a captured tensor: the register that says how many bytes after the first each lies; its address and dtype. */
function gather(code: i32, operands: usize, target: usize, end: usize, registers: usize): void {
  let offsets = operand(operands, 0, registers)
  const step = load<i32>(operands, 4), first = load<usize>(operands, 8), dtype = load<i32>(operands, 12)
  for (; target < end; target += keyScoresBytes, offsets += step) {
    if (code == opcode.captureInt) gatherInts(first, dtype, offsets, target)
    else if (dtype == record.float32) gatherFloats(first, offsets, target)
    else gatherHalves(first, dtype, offsets, target)
  }
}

function gatherFloats(first: usize, offsets: usize, target: usize): void {
  for (let lane: usize = 0; lane < 32; lane += 4) store<f32>(target + lane, load<f32>(first + load<usize>(offsets + lane)))
}

function gatherHalves(first: usize, dtype: i32, offsets: usize, target: usize): void {
  for (let lane: usize = 0; lane < 32; lane += 4) store<f32>(target + lane, loadElement(first + load<usize>(offsets + lane), dtype))
}

function gatherInts(first: usize, dtype: i32, offsets: usize, target: usize): void {
  for (let lane: usize = 0; lane < 32; lane += 4) store<i32>(target + lane, loadInteger(first + load<usize>(offsets + lane), dtype))
}

function loadInteger(element: usize, dtype: i32): i32 {
  if (dtype == record.int32) return load<i32>(element)
  if (dtype == record.int8) return load<i8>(element)
  const byte: i32 = load<u8>(element)
  return dtype == record.bool ? -i32(byte != 0) : byte
}

// @ts-ignore: decorator
@inline
function operand(operands: usize, number: usize, registers: usize): usize {
  return registers + load<i32>(operands + number * operandBytes)
}

// @ts-ignore: decorator
@inline
function hasNoVector(code: i32): bool {
  return code == opcode.intFloorDivide || code == opcode.intModulo || code == opcode.log
}

/** What there are no vector instructions for. Dividing by 0 gives 0, as it does where integers wrap at 32 bits. */
function runByElement(code: i32, operands: usize, target: usize, end: usize, registers: usize): void {
  let a = operand(operands, 0, registers), b = operand(operands, 1, registers)
  const aStep = load<i32>(operands, 4), bStep = load<i32>(operands, 12)
  for (; target < end; target += keyScoresBytes, a += aStep, b += bStep) {
    for (let lane: usize = 0; lane < 32; lane += 4) {
      if (code == opcode.log) store<f32>(target + lane, Mathf.log(load<f32>(a + lane)))
      else store<i32>(target + lane, divided(code, load<i32>(a + lane), load<i32>(b + lane)))
    }
  }
}

/** Rounded toward −∞; the remainder has the divisor's sign. */
function divided(code: i32, a: i32, b: i32): i32 {
  if (b == 0) return 0
  if (b == -1) return code == opcode.intModulo ? 0 : -a
  const remainder = a % b
  const adjust = remainder != 0 && (remainder < 0) != (b < 0)
  if (code == opcode.intModulo) return adjust ? remainder + b : remainder
  return adjust ? a / b - 1 : a / b
}

function runByVector(code: i32, operands: usize, target: usize, end: usize, registers: usize): void {
  let a = operand(operands, 0, registers)
  const aStep = load<i32>(operands, 4)
  if (code < opcode.floatAdd && code != opcode.select) {
    for (; target < end; target += keyScoresBytes, a += aStep) {
      v128.store(target, unary(code, v128.load(a)))
      v128.store(target, unary(code, v128.load(a, 16)), 16)
    }
    return
  }
  let b = operand(operands, 1, registers)
  const bStep = load<i32>(operands, 12)
  if (code == opcode.select) {
    let c = operand(operands, 2, registers)
    const cStep = load<i32>(operands, 20)
    for (; target < end; target += keyScoresBytes, a += aStep, b += bStep, c += cStep) {
      v128.store(target, v128.bitselect(v128.load(b), v128.load(c), v128.load(a)))
      v128.store(target, v128.bitselect(v128.load(b, 16), v128.load(c, 16), v128.load(a, 16)), 16)
    }
    return
  }
  for (; target < end; target += keyScoresBytes, a += aStep, b += bStep) {
    v128.store(target, binary(code, v128.load(a), v128.load(b)))
    v128.store(target, binary(code, v128.load(a, 16), v128.load(b, 16)), 16)
  }
}

function unary(code: i32, x: v128): v128 {
  switch (code) {
    case opcode.floatNegate: return f32x4.neg(x)
    case opcode.floatAbsolute: return f32x4.abs(x)
    case opcode.intNegate: return i32x4.neg(x)
    case opcode.intAbsolute: return i32x4.abs(x)
    case opcode.exp: return anyExp(x)
    case opcode.tanh: return tanh(x)
    case opcode.floor: return f32x4.floor(x)
    case opcode.not: return v128.not(x)
    case opcode.toFloat: return f32x4.convert_i32x4_s(x)
    case opcode.toInt: return i32x4.trunc_sat_f32x4_s(x)
    default: return x
  }
}

/** e^x for any x: for large ones as the square of e^(x/2), which overflows to ∞ as it should. */
function anyExp(x: v128): v128 {
  const half = exp(f32x4.pmin(f32x4.mul(x, splat(0.5)), splat(88)))
  return v128.bitselect(f32x4.mul(half, half), exp(x), f32x4.gt(x, splat(80)))
}

function binary(code: i32, a: v128, b: v128): v128 {
  switch (code) {
    case opcode.floatAdd: return f32x4.add(a, b)
    case opcode.floatSubtract: return f32x4.sub(a, b)
    case opcode.floatMultiply: return f32x4.mul(a, b)
    case opcode.floatDivide: return f32x4.div(a, b)
    case opcode.floatFloorDivide: return f32x4.floor(f32x4.div(a, b))
    case opcode.floatModulo: return negativeMultiplyAdd(b, f32x4.floor(f32x4.div(a, b)), a)
    case opcode.floatMinimum: return f32x4.min(a, b)
    case opcode.floatMaximum: return f32x4.max(a, b)
    case opcode.floatEqual: return f32x4.eq(a, b)
    case opcode.floatNotEqual: return f32x4.ne(a, b)
    case opcode.floatLess: return f32x4.lt(a, b)
    case opcode.floatLessOrEqual: return f32x4.le(a, b)
    case opcode.floatGreater: return f32x4.gt(a, b)
    case opcode.floatGreaterOrEqual: return f32x4.ge(a, b)
    case opcode.intAdd: return i32x4.add(a, b)
    case opcode.intSubtract: return i32x4.sub(a, b)
    case opcode.intMultiply: return i32x4.mul(a, b)
    case opcode.intMinimum: return i32x4.min_s(a, b)
    case opcode.intMaximum: return i32x4.max_s(a, b)
    case opcode.intEqual: return i32x4.eq(a, b)
    case opcode.intNotEqual: return i32x4.ne(a, b)
    case opcode.intLess: return i32x4.lt_s(a, b)
    case opcode.intLessOrEqual: return i32x4.le_s(a, b)
    case opcode.intGreater: return i32x4.gt_s(a, b)
    case opcode.intGreaterOrEqual: return i32x4.ge_s(a, b)
    case opcode.and: return v128.and(a, b)
    default: return v128.or(a, b)
  }
}
