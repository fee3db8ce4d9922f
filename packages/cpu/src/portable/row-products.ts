import { noWeight } from './tile-products.ts'

/**
 * The two products of attention for queries in float64 and keys and values that are rows of float32, as quantised ones
 * are once decoded, and nearly always where the caller has them: scores Q·Kᵀ, and outputs + P·V. Blocks of 4 rows of Q or P by 2 keys or columns keep eight sums in
 * registers and read six numbers for eight multiply-adds; rows that are left over take keys in fours, and four sums
 * are on their way at once. Either way a sum runs in the same order, and gives the same bits.
 */

/** A matrix whose row `i` starts at `data[start + i·step]`. */
export interface Rows<Data = Float32Array> {
  readonly data: Data
  readonly start: number
  readonly step: number
}

/** S [rows, keys] = Q [rows, dim] · Kᵀ [dim, keys]. Rows of S have room for whole fours of keys. */
export function scoreKeys(q: Rows<Float64Array>, k: Rows, s: Rows<Float64Array>, rows: number, keys: number, dim: number): void {
  const blocked = rowsInBlocks(rows)
  for (let i = 0; i < blocked; i += 4) {
    for (let j = 0; j < keys; j += 2) scoreBlock(q, k, s, i, j, rows, keys, dim)
  }
  for (let i = blocked; i < rows; i++) {
    for (let j = 0; j < keys; j += 4) scoreFour(q, k, s, i, j, keys, dim)
  }
}

/**
 * O [rows, dim] += P [rows, keys] · V [keys, dim]. Rows of O have room for whole twos of columns. A key of
 * {@link noWeight} gives nothing, not even NaN, unless `blocks`: that is for values that are finite, or all seen.
 */
export function addValues(
  p: Rows<Float64Array>,
  v: Rows,
  o: Rows<Float64Array>,
  rows: number,
  keys: number,
  dim: number,
  blocks: boolean,
): void {
  const blocked = blocks ? rowsInBlocks(rows) : 0
  for (let i = 0; i < blocked; i += 4) {
    for (let c = 0; c < dim; c += 2) addBlock(p, v, o, i, c, rows, keys, dim)
  }
  for (let i = blocked; i < rows; i++) addRow(p, v, o, i, keys, dim)
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

/** Three that are left over make a block, the last of them twice: that costs less than three rows alone. */
function rowsInBlocks(rows: number): number {
  return rows % 4 === 3 ? rows : rows - (rows % 4)
}

/** Four queries by two keys; where there is no last one, the one before it twice. */
function scoreBlock(
  q: Rows<Float64Array>,
  k: Rows,
  s: Rows<Float64Array>,
  i: number,
  j: number,
  rows: number,
  keys: number,
  dim: number,
): void {
  const fourth = i + 3 < rows ? 1 : 0
  const second = j + 1 < keys ? 1 : 0
  const [a, b] = [q.data, k.data]
  let s00 = 0
  let s01 = 0
  let s10 = 0
  let s11 = 0
  let s20 = 0
  let s21 = 0
  let s30 = 0
  let s31 = 0
  const q0 = q.start + i * q.step
  const q1 = q0 + q.step
  const q2 = q1 + q.step
  const q3 = q2 + fourth * q.step
  const k0 = k.start + j * k.step
  const k1 = k0 + second * k.step
  for (let c = 0; c < dim; c++) {
    const b0 = b[k0 + c]!
    const b1 = b[k1 + c]!
    const a0 = a[q0 + c]!
    const a1 = a[q1 + c]!
    const a2 = a[q2 + c]!
    const a3 = a[q3 + c]!
    s00 += a0 * b0
    s01 += a0 * b1
    s10 += a1 * b0
    s11 += a1 * b1
    s20 += a2 * b0
    s21 += a2 * b1
    s30 += a3 * b0
    s31 += a3 * b1
  }
  const c0 = s.start + i * s.step + j
  const c1 = c0 + s.step
  const c2 = c1 + s.step
  const c3 = c2 + fourth * s.step
  s.data[c0] = s00
  s.data[c0 + 1] = s01
  s.data[c1] = s10
  s.data[c1 + 1] = s11
  s.data[c2] = s20
  s.data[c2 + 1] = s21
  s.data[c3] = s30
  s.data[c3 + 1] = s31
}

/** One query by four keys, the first of them again for those that are not there. */
function scoreFour(
  { data: a, start, step }: Rows<Float64Array>,
  { data: b, start: firstKey, step: keyStep }: Rows,
  s: Rows<Float64Array>,
  i: number,
  j: number,
  keys: number,
  dim: number,
): void {
  let s0 = 0
  let s1 = 0
  let s2 = 0
  let s3 = 0
  const row = start + i * step
  const k0 = firstKey + j * keyStep
  const k1 = j + 1 < keys ? k0 + keyStep : k0
  const k2 = j + 2 < keys ? k1 + keyStep : k0
  const k3 = j + 3 < keys ? k2 + keyStep : k0
  for (let c = 0; c < dim; c++) {
    const q = a[row + c]!
    s0 += q * b[k0 + c]!
    s1 += q * b[k1 + c]!
    s2 += q * b[k2 + c]!
    s3 += q * b[k3 + c]!
  }
  const to = s.start + i * s.step + j
  s.data[to] = s0
  s.data[to + 1] = s1
  s.data[to + 2] = s2
  s.data[to + 3] = s3
}

/** Four outputs by two columns; where there is no last one, the one before it twice. */
function addBlock(
  p: Rows<Float64Array>,
  v: Rows,
  { data: o, start, step }: Rows<Float64Array>,
  i: number,
  c: number,
  rows: number,
  keys: number,
  dim: number,
): void {
  const fourth = i + 3 < rows ? 1 : 0
  const second = c + 1 < dim ? 1 : 0
  const [a, b] = [p.data, v.data]
  const o0 = start + i * step + c
  const o1 = o0 + step
  const o2 = o1 + step
  const o3 = o2 + fourth * step
  let s00 = o[o0]!
  let s01 = o[o0 + 1]!
  let s10 = o[o1]!
  let s11 = o[o1 + 1]!
  let s20 = o[o2]!
  let s21 = o[o2 + 1]!
  let s30 = o[o3]!
  let s31 = o[o3 + 1]!
  const p0 = p.start + i * p.step
  const p1 = p0 + p.step
  const p2 = p1 + p.step
  const p3 = p2 + fourth * p.step
  for (let j = 0, at = v.start + c; j < keys; j++, at += v.step) {
    const b0 = b[at]!
    const b1 = b[at + second]!
    const a0 = a[p0 + j]!
    const a1 = a[p1 + j]!
    const a2 = a[p2 + j]!
    const a3 = a[p3 + j]!
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
function addRow(p: Rows<Float64Array>, v: Rows, o: Rows<Float64Array>, i: number, keys: number, dim: number): void {
  const weights = p.data
  const row = p.start + i * p.step
  const to = o.start + i * o.step
  for (let j = 0, at = row; j < keys; j = at - row) {
    const from = v.start + j * v.step
    if (j + 4 <= keys && seen(weights, at) && seen(weights, at + 1) && seen(weights, at + 2) && seen(weights, at + 3)) {
      addFour(weights, at, v, from, o.data, to, dim)
      at += 4
    } else {
      if (seen(weights, at)) addOne(weights[at]!, v, from, o.data, to, dim)
      at += 1
    }
  }
}

function seen(weights: Float64Array, at: number): boolean {
  return !Object.is(weights[at], noWeight)
}

function addFour(p: Float64Array, at: number, { data, step }: Rows, from: number, o: Float64Array, to: number, dim: number): void {
  const p0 = p[at]!
  const p1 = p[at + 1]!
  const p2 = p[at + 2]!
  const p3 = p[at + 3]!
  const v1 = from + step
  const v2 = v1 + step
  const v3 = v2 + step
  for (let c = 0; c < dim; c++) {
    o[to + c] = o[to + c]! + p0 * data[from + c]! + p1 * data[v1 + c]! + p2 * data[v2 + c]! + p3 * data[v3 + c]!
  }
}

function addOne(weight: number, { data }: Rows, from: number, o: Float64Array, to: number, dim: number): void {
  for (let c = 0; c < dim; c++) o[to + c]! += weight * data[from + c]!
}
