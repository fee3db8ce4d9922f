import type { HostTensor } from '@qkv/core'
import { gradientTile, type GradientSetting } from './gradient-setting.ts'
import { makeGradientTile, multiplyPairs, pairGradients } from './pair-gradients.ts'
import { scoreGradient } from './score-gradient.ts'
import { findRowRanges, makeRowRanges } from './score-tile.ts'
import { multiplyAdd, multiplyAddVisible, padded } from './tile-products.ts'
import { loadVectors, storeVector, vectorColumns, vectorRows } from './vectors.ts'

/**
 * The second pass: for each tile of keys, over the query heads that read them and the queries that see them,
 * dV += pᵀ·dO and dK += dsᵀ·q. Its tiles are transposed: a row for each key.
 */
export function keyGradients(setting: GradientSetting, dKey: HostTensor, dValue: HostTensor): void {
  const { batch, keyHeads } = setting.problem
  const pass = makePass(setting)
  for (let entry = 0; entry < batch; entry++) {
    for (let keyHead = 0; keyHead < keyHeads; keyHead++) {
      for (let keyTile = 0; keyTile < setting.map.keyTiles; keyTile++) tileGradient(pass, entry, keyHead, keyTile, dKey, dValue)
    }
  }
}

function makePass(setting: GradientSetting) {
  const { headDim, valueDim, queryLength, keyLength } = setting.problem
  const keys = Math.min(gradientTile.keys, keyLength)
  const width = padded(Math.min(gradientTile.queries, queryLength))
  const headWidth = padded(headDim)
  const valueWidth = padded(valueDim)
  return {
    setting,
    tile: makeGradientTile('key', keys, width),
    width,
    headWidth,
    valueWidth,
    ranges: makeRowRanges(width),
    back: scoreGradient(setting.problem, undefined),
    k: vectorRows(keys, headDim),
    v: vectorRows(keys, valueDim),
    qTransposed: vectorColumns(width, headDim),
    dOTransposed: vectorColumns(width, valueDim),
    q: vectorRows(width, headWidth),
    dO: vectorRows(width, valueWidth),
    dk: new Float64Array(keys * headWidth),
    dv: new Float64Array(keys * valueWidth),
  }
}

type Pass = ReturnType<typeof makePass>

function tileGradient(pass: Pass, batch: number, keyHead: number, keyTile: number, dKey: HostTensor, dValue: HostTensor): void {
  const { setting, tile, k, v, dk, dv } = pass
  const { problem, map } = setting
  const { headDim, valueDim, keyLength, group } = problem
  tile.batch = batch
  tile.firstKey = keyTile * gradientTile.keys
  tile.keys = Math.min(gradientTile.keys, keyLength - tile.firstKey)
  loadVectors(setting.key, batch, keyHead, tile.firstKey, tile.keys, k)
  loadVectors(setting.value, batch, keyHead, tile.firstKey, tile.keys, v)
  dk.fill(0)
  dv.fill(0)
  for (let head = keyHead * group; head < (keyHead + 1) * group; head++) {
    tile.head = head
    const plane = map.planeOf(batch, head) * map.queryTiles
    for (let queryTile = 0; queryTile < map.queryTiles; queryTile++) {
      const run = runWith(setting, plane + queryTile, keyTile)
      if (run < 0) continue
      tile.full = map.runs[3 * run + 2] === 1
      addQueries(pass, queryTile)
    }
  }
  for (let j = 0; j < tile.keys; j++) {
    storeVector(dKey, batch, keyHead, tile.firstKey + j, dk, j * pass.headWidth, headDim, 1)
    storeVector(dValue, batch, keyHead, tile.firstKey + j, dv, j * pass.valueWidth, valueDim, 1)
  }
}

/** The run of a line of query tiles that holds the key tile; −1 where none does. */
function runWith({ map: { runOffsets, runs } }: GradientSetting, line: number, keyTile: number): number {
  for (let run = runOffsets[line]!; run < runOffsets[line + 1]!; run++) {
    if (runs[3 * run]! <= keyTile && keyTile < runs[3 * run + 1]!) return run
  }
  return -1
}

function addQueries(pass: Pass, queryTile: number): void {
  const { setting, tile, k, v, q, dO, qTransposed, dOTransposed, dk, dv, width, headWidth, valueWidth } = pass
  const { problem } = setting
  const { queryLength, scale } = problem
  const { batch, head, keys, scores, gradients } = tile
  tile.firstRow = queryTile * gradientTile.queries
  tile.rows = Math.min(gradientTile.queries, queryLength - tile.firstRow)
  const { firstRow, rows } = tile
  findRowRanges(pass.ranges, problem, batch, firstRow, rows)
  const finiteQueries = loadVectors(setting.query, batch, head, firstRow, rows, q, scale)
  const finiteGradients = loadVectors(setting.dOutput, batch, head, firstRow, rows, dO)
  loadVectors(setting.query, batch, head, firstRow, rows, qTransposed, scale)
  loadVectors(setting.dOutput, batch, head, firstRow, rows, dOTransposed)
  multiplyPairs(
    tile,
    { count: keys, ofScores: k, ofGradients: v },
    { count: rows, ofScores: qTransposed, ofGradients: dOTransposed },
  )
  pairGradients(tile, setting, pass.ranges, pass.back)
  const addValueProduct = finiteGradients ? multiplyAdd : multiplyAddVisible
  const addKeyProduct = finiteQueries ? multiplyAdd : multiplyAddVisible
  addValueProduct(scores, width, dO.data, valueWidth, dv, keys, rows, valueWidth)
  addKeyProduct(gradients, width, q.data, headWidth, dk, keys, rows, headWidth)
}
