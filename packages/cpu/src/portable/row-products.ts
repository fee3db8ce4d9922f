import { noWeight } from './tile-products.ts'

/**
 * The two products of attention for queries in float64 and keys and values that are rows of float32, nearly always where
 * the caller has them: scores Q·Kᵀ, and outputs + P·V. Blocks of 4 rows of Q or P by 2 keys or columns keep eight sums in
 * registers and read six numbers for eight multiply-adds; rows that are left over take keys in fours, so that four sums
 * wait for each other's additions. Every sum runs in the same order either way: a row's bits do not depend on its company.
 */

/** Row `i` starts at `data[start + i·step]`. */
export interface Rows {
  readonly data: Float32Array
  readonly start: number
  readonly step: number
}

/** S [rows, keys] = Q [rows, dim] · Kᵀ [dim, keys]. Rows of S lie `width` apart, and have room for whole fours of keys. */
export function scoreKeys(q: Float64Array, k: Rows, s: Float64Array, width: number, rows: number, keys: number, dim: number): void {
  const blocked = rowsInBlocks(rows)
  for (let i = 0; i < blocked; i += 4) {
    for (let j = 0; j < keys; j += 2) scoreBlock(q, k, s, width, i, j, rows, keys, dim)
  }
  for (let i = blocked; i < rows; i++) {
    for (let j = 0; j < keys; j += 4) scoreFour(q, k, s, width, i, j, keys, dim)
  }
}

/**
 * O [rows, dim] += P [rows, keys] · V [keys, dim]. Rows of P lie `width` apart; of O `outputWidth`, which is even. A key of
 * {@link noWeight} gives nothing, not even NaN, unless `blocks`, which is for values that are finite where any is hidden.
 */
export function addValues(
  p: Float64Array,
  width: number,
  v: Rows,
  o: Float64Array,
  outputWidth: number,
  rows: number,
  keys: number,
  dim: number,
  blocks: boolean,
): void {
  const blocked = blocks ? rowsInBlocks(rows) : 0
  for (let i = 0; i < blocked; i += 4) {
    for (let c = 0; c < dim; c += 2) addBlock(p, width, v, o, outputWidth, i, c, rows, keys, dim)
  }
  for (let i = blocked; i < rows; i++) addRow(p, i * width, v, o, i * outputWidth, keys, dim)
}

/** Whether all of the first `count` rows are finite in all of their first `dim` elements. */
export function areFinite({ data, start, step }: Rows, count: number, dim: number): boolean {
  /** Stays 0 until something that is not finite is added. */
  let sum = 0
  for (let i = 0; i < count; i++) {
    const row = start + i * step
    for (let at = row; at < row + dim; at++) sum += data[at]! * 0
  }
  return sum === 0
}

/** Three that are left over make a block, one of them twice: that costs less than three rows alone. */
function rowsInBlocks(rows: number): number {
  return rows % 4 === 3 ? rows : rows - (rows % 4)
}

/** Four queries by two keys, or the last one twice. */
function scoreBlock(
  q: Float64Array,
  { data, start, step }: Rows,
  s: Float64Array,
  width: number,
  i: number,
  j: number,
  rows: number,
  keys: number,
  dim: number,
): void {
  let s00 = 0
  let s01 = 0
  let s10 = 0
  let s11 = 0
  let s20 = 0
  let s21 = 0
  let s30 = 0
  let s31 = 0
  const q0 = i * dim
  const q1 = q0 + dim
  const q2 = q1 + dim
  const fourth = i + 3 < rows ? 1 : 0
  const q3 = q2 + fourth * dim
  const k0 = start + j * step
  const k1 = j + 1 < keys ? k0 + step : k0
  for (let c = 0; c < dim; c++) {
    const b0 = data[k0 + c]!
    const b1 = data[k1 + c]!
    const a0 = q[q0 + c]!
    const a1 = q[q1 + c]!
    const a2 = q[q2 + c]!
    const a3 = q[q3 + c]!
    s00 += a0 * b0
    s01 += a0 * b1
    s10 += a1 * b0
    s11 += a1 * b1
    s20 += a2 * b0
    s21 += a2 * b1
    s30 += a3 * b0
    s31 += a3 * b1
  }
  const to = i * width + j
  s[to] = s00
  s[to + 1] = s01
  s[to + width] = s10
  s[to + width + 1] = s11
  s[to + 2 * width] = s20
  s[to + 2 * width + 1] = s21
  s[to + (2 + fourth) * width] = s30
  s[to + (2 + fourth) * width + 1] = s31
}

/** One query by four keys, or the last one for those that are not there. */
function scoreFour(
  q: Float64Array,
  { data, start, step }: Rows,
  s: Float64Array,
  width: number,
  i: number,
  j: number,
  keys: number,
  dim: number,
): void {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const row = i * dim
  const k0 = start + j * step
  const k1 = j + 1 < keys ? k0 + step : k0
  const k2 = j + 2 < keys ? k1 + step : k0
  const k3 = j + 3 < keys ? k2 + step : k0
  for (let c = 0; c < dim; c++) {
    const a = q[row + c]!
    s0 += a * data[k0 + c]!
    s1 += a * data[k1 + c]!
    s2 += a * data[k2 + c]!
    s3 += a * data[k3 + c]!
  }
  const to = i * width + j
  s[to] = s0
  s[to + 1] = s1
  s[to + 2] = s2
  s[to + 3] = s3
}

/** Four outputs by two columns, or the last one twice. */
function addBlock(
  p: Float64Array,
  width: number,
  { data, start, step }: Rows,
  o: Float64Array,
  outputWidth: number,
  i: number,
  c: number,
  rows: number,
  keys: number,
  dim: number,
): void {
  const o0 = i * outputWidth + c
  const o1 = o0 + outputWidth
  const o2 = o1 + outputWidth
  const fourth = i + 3 < rows ? 1 : 0
  const o3 = o2 + fourth * outputWidth
  let s00 = o[o0]!
  let s01 = o[o0 + 1]!
  let s10 = o[o1]!
  let s11 = o[o1 + 1]!
  let s20 = o[o2]!
  let s21 = o[o2 + 1]!
  let s30 = o[o3]!
  let s31 = o[o3 + 1]!
  const p0 = i * width
  const p1 = p0 + width
  const p2 = p1 + width
  const p3 = p2 + fourth * width
  const next = c + 1 < dim ? 1 : 0
  for (let j = 0, at = start + c; j < keys; j++, at += step) {
    const b0 = data[at]!
    const b1 = data[at + next]!
    const a0 = p[p0 + j]!
    const a1 = p[p1 + j]!
    const a2 = p[p2 + j]!
    const a3 = p[p3 + j]!
    s00 += a0 * b0
    s01 += a0 * b1
    s10 += a1 * b0
    s11 += a1 * b1
    s20 += a2 * b0
    s21 += a2 * b1
    s30 += a3 * b0
    s31 += a3 * b1
  }
  o[o0] = s00
  o[o0 + 1] = s01
  o[o1] = s10
  o[o1 + 1] = s11
  o[o2] = s20
  o[o2 + 1] = s21
  o[o3] = s30
  o[o3 + 1] = s31
}

/** One output, from four keys at a time where all four are seen. */
function addRow(p: Float64Array, row: number, v: Rows, o: Float64Array, to: number, keys: number, dim: number): void {
  for (let j = 0; j < keys;) {
    const whole = j + 4 <= keys && seen(p, row + j) && seen(p, row + j + 1) && seen(p, row + j + 2) && seen(p, row + j + 3)
    if (whole) addFour(p, row + j, v, o, to, j, dim)
    else if (seen(p, row + j)) addOne(p[row + j]!, v, o, to, j, dim)
    j += whole ? 4 : 1
  }
}

function seen(p: Float64Array, at: number): boolean {
  return !Object.is(p[at], noWeight)
}

function addFour(
  p: Float64Array,
  at: number,
  { data, start, step }: Rows,
  o: Float64Array,
  to: number,
  j: number,
  dim: number,
): void {
  const p0 = p[at]!
  const p1 = p[at + 1]!
  const p2 = p[at + 2]!
  const p3 = p[at + 3]!
  const v0 = start + j * step
  const v1 = v0 + step
  const v2 = v1 + step
  const v3 = v2 + step
  for (let c = 0; c < dim; c++) {
    o[to + c] = o[to + c]! + p0 * data[v0 + c]! + p1 * data[v1 + c]! + p2 * data[v2 + c]! + p3 * data[v3 + c]!
  }
}

function addOne(weight: number, { data, start, step }: Rows, o: Float64Array, to: number, j: number, dim: number): void {
  const from = start + j * step
  for (let c = 0; c < dim; c++) o[to + c]! += weight * data[from + c]!
}
