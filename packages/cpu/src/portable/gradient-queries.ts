import type { HostTensor } from '@qkv/core'
import { gradientTile, type GradientSetting } from './gradient-setting.ts'
import { makeGradientTile, multiplyPairs, pairGradients } from './pair-gradients.ts'
import { scoreGradient } from './score-gradient.ts'
import { findRowRanges, makeRowRanges } from './score-tile.ts'
import { multiplyAdd, multiplyAddVisible, padded } from './tile-products.ts'
import { loadVectors, storeVector, vectorColumns, vectorRows } from './vectors.ts'

/**
 * The first pass: for each tile of queries, over the keys they see, dQ += ds·k; and, since it meets every pair once, the
 * sums of bias and captured tensors.
 */
export function queryGradients(setting: GradientSetting, dQuery: HostTensor): void {
  const { problem, map } = setting
  const pass = makePass(setting)
  for (let batch = 0; batch < problem.batch; batch++) {
    for (let head = 0; head < problem.queryHeads; head++) {
      for (let queryTile = 0; queryTile < map.queryTiles; queryTile++) tileGradient(pass, batch, head, queryTile, dQuery)
    }
  }
}

function makePass(setting: GradientSetting) {
  const { headDim, valueDim, queryLength, keyLength } = setting.problem
  const rows = Math.min(gradientTile.queries, queryLength)
  const width = padded(Math.min(gradientTile.keys, keyLength))
  const headWidth = padded(headDim)
  return {
    setting,
    tile: makeGradientTile('row', rows, width),
    width,
    headWidth,
    ranges: makeRowRanges(rows),
    back: scoreGradient(setting.problem, setting.sums),
    q: vectorRows(rows, headDim),
    dO: vectorRows(rows, valueDim),
    kTransposed: vectorColumns(width, headDim),
    vTransposed: vectorColumns(width, valueDim),
    k: vectorRows(width, headWidth),
    dq: new Float64Array(rows * headWidth),
  }
}

type Pass = ReturnType<typeof makePass>

function tileGradient(pass: Pass, batch: number, head: number, queryTile: number, dQuery: HostTensor): void {
  const { setting, tile, q, dO, dq, headWidth } = pass
  const { problem, map } = setting
  const { headDim, queryLength, scale } = problem
  tile.batch = batch
  tile.head = head
  tile.firstRow = queryTile * gradientTile.queries
  tile.rows = Math.min(gradientTile.queries, queryLength - tile.firstRow)
  findRowRanges(pass.ranges, problem, batch, tile.firstRow, tile.rows)
  loadVectors(setting.query, batch, head, tile.firstRow, tile.rows, q, scale)
  loadVectors(setting.dOutput, batch, head, tile.firstRow, tile.rows, dO)
  dq.fill(0)
  const line = map.planeOf(batch, head) * map.queryTiles + queryTile
  for (let run = map.runOffsets[line]!; run < map.runOffsets[line + 1]!; run++) {
    tile.full = map.runs[3 * run + 2] === 1
    for (let keyTile = map.runs[3 * run]!; keyTile < map.runs[3 * run + 1]!; keyTile++) addKeys(pass, keyTile)
  }
  for (let i = 0; i < tile.rows; i++) storeVector(dQuery, batch, head, tile.firstRow + i, dq, i * headWidth, headDim, scale)
}

function addKeys(pass: Pass, keyTile: number): void {
  const { setting, tile, q, dO, k, kTransposed, vTransposed, dq, width, headWidth } = pass
  const { keyLength, group } = setting.problem
  const { batch, rows, gradients } = tile
  const keyHead = Math.floor(tile.head / group)
  tile.firstKey = keyTile * gradientTile.keys
  tile.keys = Math.min(gradientTile.keys, keyLength - tile.firstKey)
  const { firstKey, keys } = tile
  const finite = loadVectors(setting.key, batch, keyHead, firstKey, keys, k)
  loadVectors(setting.key, batch, keyHead, firstKey, keys, kTransposed)
  loadVectors(setting.value, batch, keyHead, firstKey, keys, vTransposed)
  multiplyPairs(
    tile,
    { count: rows, ofScores: q, ofGradients: dO },
    { count: keys, ofScores: kTransposed, ofGradients: vTransposed },
  )
  pairGradients(tile, setting, pass.ranges, pass.back)
  const addProduct = finite ? multiplyAdd : multiplyAddVisible
  addProduct(gradients, width, k.data, headWidth, dq, rows, keys, headWidth)
}
