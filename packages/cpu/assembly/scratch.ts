/**
 * A thread's scratch memory, cut into parts one after the other. A kernel lays out its parts in one function, which is
 * run at its start, and at address 0 to learn how much memory it needs.
 */
let next: usize = 0

export function startAt(scratch: usize): void {
  next = scratch
}

/** The next `bytes` bytes, from a cache line's start on. */
export function take(bytes: usize): usize {
  const part = next
  next = (part + bytes + 63) & ~63
  return part
}

/** `count` floats. */
// @ts-ignore: decorator
@inline
export function takeFloats(count: i32): usize {
  return take(usize(count) << 2)
}

/** Where what has been taken ends. */
export function taken(): usize {
  return next
}
