/**
 * Bringing a tile near before it is worked on. Processors fetch ahead of several straight lines at once, if each is in pages
 * of its own; vectors next to each other are one line, and jumping between them none. So these read four vectors in turn,
 * each a quarter of the tile after the one before.
 */

/** What has been read: compilers may leave out reads of which nothing comes. */
let seen: i32 = 0

/** Reads a word of each cache line of `count` vectors of `bytes` bytes. */
export function fetch(vectors: usize, stride: isize, count: i32, bytes: usize): void {
  if (isOneLine(stride, count, bytes)) bytes *= count >> 2, stride = bytes, count = 4
  const apart = (count + 3) >> 2, last = count - 1
  let word = 0
  for (let j = 0; j < apart; j++) {
    let a = vectors + j * stride, b = vectors + min(last, j + apart) * stride
    let c = vectors + min(last, j + 2 * apart) * stride, d = vectors + min(last, j + 3 * apart) * stride
    for (const end = a + bytes; a < end; a += 64, b += 64, c += 64, d += 64) word |= load<i32>(a) | load<i32>(b) | load<i32>(c) | load<i32>(d)
  }
  seen = word
}

/**
 * Reads vectors of halves. Whether all are finite: twice their bits are then below 0xf800. What follows a vector that is
 * no multiple of 32 bytes is looked at, too; the arena leaves room for that behind its last block.
 */
export function fetchHalves(vectors: usize, stride: isize, count: i32, bytes: usize): bool {
  if (isOneLine(stride, count, bytes)) bytes *= count >> 2, stride = bytes, count = 4
  const apart = (count + 3) >> 2, last = count - 1
  let x = i16x8.splat(0), y = x
  for (let j = 0; j < apart; j++) {
    let a = vectors + j * stride, b = vectors + min(last, j + apart) * stride
    let c = vectors + min(last, j + 2 * apart) * stride, d = vectors + min(last, j + 3 * apart) * stride
    for (const end = a + bytes; a < end; a += 32, b += 32, c += 32, d += 32) {
      x = i16x8.max_u(x, twice(a)), y = i16x8.max_u(y, twice(a + 16))
      x = i16x8.max_u(x, twice(b)), y = i16x8.max_u(y, twice(b + 16))
      x = i16x8.max_u(x, twice(c)), y = i16x8.max_u(y, twice(c + 16))
      x = i16x8.max_u(x, twice(d)), y = i16x8.max_u(y, twice(d + 16))
    }
  }
  return !v128.any_true(i16x8.ge_u(i16x8.max_u(x, y), i16x8.splat(<i16>0xf800)))
}

/** Whether four long vectors can stand for all, having no gaps between them. */
// @ts-ignore: decorator
@inline
function isOneLine(stride: isize, count: i32, bytes: usize): bool {
  return stride == bytes && (count & 3) == 0
}

// @ts-ignore: decorator
@inline
function twice(at: usize): v128 {
  const bits = v128.load(at)
  return i16x8.add(bits, bits)
}
