/** Reading the problem's record, and what follows from it for each row: where it lies and which keys it sees. */
import * as record from '../src/wasm/record'

/** Where problem and thread meet: the record of the problem, and this thread's own scratch memory. */

// @ts-ignore: decorator
@inline
export function int(problem: usize, part: i32): i32 {
  return load<i32>(problem + part)
}

// @ts-ignore: decorator
@inline
export function float(problem: usize, part: i32): f32 {
  return load<f32>(problem + part)
}

// @ts-ignore: decorator
@inline
export function pointer(problem: usize, part: i32): usize {
  return load<usize>(problem + part)
}

/** The address of a tensor's vector [batch, head, row]. */
// @ts-ignore: decorator
@inline
export function vectorOf(problem: usize, tensor: i32, batch: i32, head: i32, row: i32): usize {
  const view = problem + tensor
  return load<usize>(view + record.address) +
    batch * load<i32>(view + record.batchStride) +
    head * load<i32>(view + record.headStride) +
    row * load<i32>(view + record.rowStride)
}

/** How many keys of a batch entry there are. */
export function validKeys(problem: usize, batch: i32): i32 {
  const lengths = pointer(problem, record.lengths)
  return lengths == 0 ? int(problem, record.keyLength) : load<i32>(lengths + (usize(batch) << 2))
}

/** Where query row 0 stands among the keys. */
export function firstPosition(problem: usize, validKeys: i32): i32 {
  return int(problem, record.upperLeft) ? 0 : validKeys - int(problem, record.queryLength)
}

/** The first key that causality, window and length leave visible at a position. */
// @ts-ignore: decorator
@inline
export function firstVisible(problem: usize, position: i32, validKeys: i32): i32 {
  return max(0, min(validKeys, position - int(problem, record.windowLeft)))
}

/** The end of the visible keys. */
// @ts-ignore: decorator
@inline
export function endVisible(problem: usize, position: i32, validKeys: i32): i32 {
  return max(0, min(validKeys, position + int(problem, record.windowRight) + 1))
}
