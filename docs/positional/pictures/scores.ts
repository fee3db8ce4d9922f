import { tensor, toFloat64, type HostTensor, type ScoreMod } from '@qkv/core'
import { compileExpression } from '@qkv/core/expression'
import { alibi, fire, gridBias, kerple, sandwich, t5Bias, temperature, type PositionScore } from '@qkv/positional'
import { cope, decomposedGrid, disentangled, relativeKey, relativeKeyQuery, shaw, transformerXl } from '@qkv/positional/content'
import { curves } from './curves.ts'
import { heatmaps } from './heatmap.ts'
import { addedByDistance, addedScores, made, range } from './measure.ts'

const length = 24
const causal = (rows: readonly (readonly number[])[]): number[][] =>
  rows.map((row, query) => row.map((value, key) => (key > query ? NaN : value)))
const pairs = { across: 'key', down: 'query' }

export function alibiPicture(): string {
  const maps = [0, 1, 2].map((head) => ({
    title: `head ${head} of 8`,
    rows: causal(addedScores(alibi({ heads: 8 }), head, length)),
  }))
  return heatmaps(maps, { title: 'What ALiBi adds to scores', ...pairs })
}

export function t5Picture(): string {
  // Tables that fall with distance, as trained ones tend to: the bias of a bucket is minus its number.
  const table = (buckets: number, oneSide: number): HostTensor =>
    tensor(
      range(buckets).map((bucket) => -(bucket % oneSide)),
      [buckets, 1],
    )
  const maps = [
    { title: 'bidirectional', rows: addedScores(t5Bias({ table: table(16, 8), maxDistance: 32 }), 0, length) },
    {
      title: 'causal',
      rows: causal(addedScores(t5Bias({ table: table(16, 16), bidirectional: false, maxDistance: 32 }), 0, length)),
    },
  ]
  return heatmaps(maps, { title: 'Buckets of T5', ...pairs })
}

export function kerplePicture(): string {
  const vector = (value: number): HostTensor => tensor([value], [1])
  return byDistance({
    'logarithmic, r₁ 2, r₂ 0.5': kerple({ r1: vector(2), r2: vector(0.5) }),
    'logarithmic, r₁ 1, r₂ 2': kerple({ r1: vector(1), r2: vector(2) }),
    'power, r₁ 0.5, r₂ 0.6': kerple({ kernel: 'power', r1: vector(0.5), r2: vector(0.6) }),
    'ALiBi, slope 1/16': alibi({ heads: 1, maximum: 4 }),
  })
}

export function sandwichPicture(): string {
  const encoding = sandwich({ heads: 8, length: 129 })
  const drawn = [0, 1, 3, 7].map((head) => ({ name: `head ${head} of 8`, points: addedByDistance(encoding, head, range(129)) }))
  return curves(drawn, { title: 'What Sandwich adds by distance', across: 'distance', up: 'added to the score' })
}

export function firePicture(): string {
  const [weight1, bias1] = [tensor([-4, 6, -9, 3], [4]), tensor([1, -3, 0.5, 0.2], [4])]
  const encoding = fire({ weight1, bias1, weight2: tensor([1.2, -0.6, 0.8, -0.5], [1, 4]), bias2: tensor([0], [1]), L: 64 })
  const drawn = [64, 128, 256].map((query) => ({
    name: `query ${query}`,
    points: addedByDistance(encoding, 0, range(query + 1), query),
  }))
  return curves(drawn, { title: 'One network of FIRE, whatever the length', across: 'distance', up: 'added to the score' })
}

export function gridPicture(): string {
  const table = tensor(
    range(81).map((step) => -Math.hypot(Math.floor(step / 9) - 4, (step % 9) - 4)),
    [81, 1],
  )
  return heatmaps([{ title: '5 by 5 patches', rows: addedScores(gridBias({ height: 5, width: 5, table }), 0, 25) }], {
    title: 'A bias by steps down and across',
    ...pairs,
  })
}

export function temperaturePicture(): string {
  const change = compileExpression(temperature().scoreMod.node)
  const points = range(129).map((n) => [n * 1024, change(0, 0, n * 1024, 0, 0, 1)] as const)
  return curves([{ name: 'β 0.1, floor 8192', points }], { title: 'By how much scores grow', across: 'query', up: 'factor' })
}

export function shawPicture(): string {
  const query = made([1, 1, length, 8], 2)
  const { scoreMod } = shaw({ table: made([9, 8], 3) }).terms({ query, key: query, scale: 1 / Math.sqrt(8) })
  return heatmaps([{ title: 'q·r(key − query), reach 4', rows: contentRows(scoreMod) }], {
    title: 'What Shaw’s encoding adds',
    ...pairs,
  })
}

export function relativeKeyPicture(): string {
  const inputs = { query: made([1, 1, length, 8], 2), key: made([1, 1, length, 8], 4), scale: 1 / Math.sqrt(8) }
  const table = made([2 * length - 1, 8], 3)
  const maps = [
    { title: 'relative_key', rows: contentRows(relativeKey({ table }).terms(inputs).scoreMod) },
    { title: 'relative_key_query', rows: contentRows(relativeKeyQuery({ table }).terms(inputs).scoreMod) },
  ]
  return heatmaps(maps, { title: 'What vectors of distances add', ...pairs })
}

export function decomposedGridPicture(): string {
  const inputs = { query: made([1, 1, length, 8], 2), key: made([1, 1, length, 8], 4), scale: 1 / Math.sqrt(8) }
  const tables = { rows: made([7, 8], 3), columns: made([11, 8], 5) }
  const rows = contentRows(decomposedGrid({ height: 4, width: 6, ...tables }).terms(inputs).scoreMod)
  return heatmaps([{ title: '4 by 6 patches', rows }], { title: 'What vectors of steps down and across add', ...pairs })
}

export function disentangledPicture(): string {
  const inputs = { query: made([1, 1, length, 8], 2), key: made([1, 1, length, 8], 4), scale: 1 / Math.sqrt(24) }
  const [positionKeys, positionQueries] = [made([1, 16, 8], 3), made([1, 16, 8], 5)]
  const rows = (options: Parameters<typeof disentangled>[0]): number[][] =>
    contentRows(disentangled({ ...options, maxDistance: length }).terms(inputs).scoreMod)
  const maps = [
    { title: 'q·K(δ), content to position', rows: rows({ positionKeys }) },
    { title: 'k·Q(δ), position to content', rows: rows({ positionQueries }) },
  ]
  return heatmaps(maps, { title: 'What DeBERTa adds, by buckets of distances', ...pairs })
}

export function transformerXlPicture(): string {
  const [heads, headDim, modelDim] = [1, 4, 16]
  const empty = tensor(new Float32Array(length * headDim), [1, 1, length, headDim])
  const bias = made([heads, headDim], 2)
  const terms = transformerXl({ contentBias: bias, positionBias: bias, projection: made([heads, headDim, modelDim], 5) }).terms({
    query: empty,
    key: empty,
    scale: 1,
  })
  const [q, k] = [toFloat64(terms.query), toFloat64(terms.key)]
  const dim = headDim + modelDim
  const rows = range(length).map((i) =>
    range(length).map((j) => range(dim).reduce((sum, c) => sum + q[i * dim + c]! * k[j * dim + c]!, 0)),
  )
  return heatmaps([{ title: 'v·W r(query − key)', rows }], {
    title: 'The part of Transformer-XL’s scores that positions make',
    ...pairs,
  })
}

export function copePicture(): string {
  // Keys of two kinds: every fifth opens the gates, as the end of a sentence might.
  const vectors = range(length).flatMap((token) => (token % 5 === 0 ? [4, 0, 1, 0] : [-4, 0, 0, 1]))
  const key = tensor(vectors, [1, 1, length, 4])
  const query = tensor(
    range(length).flatMap(() => [2, 1, 0, 0]),
    [1, 1, length, 4],
  )
  const table = tensor(
    range(8).flatMap((position) => [0, -position, 0, 0]),
    [8, 4],
  )
  const { scoreMod } = cope({ table }).terms({ query, key, scale: 0.5 })
  return heatmaps([{ title: 'counted by sentences', rows: causal(contentRows(scoreMod)) }], {
    title: 'CoPE counts what opens its gates',
    ...pairs,
  })
}

function contentRows(scoreMod: ScoreMod | undefined): number[][] {
  if (scoreMod === undefined) throw new Error('these terms change scores')
  const change = compileExpression(scoreMod.node)
  return range(length).map((query) => range(length).map((key) => change(0, 0, query, key, query, 0)))
}

function byDistance(encodings: Readonly<Record<string, PositionScore>>): string {
  const drawn = Object.entries(encodings).map(([name, encoding]) => ({ name, points: addedByDistance(encoding, 0, range(129)) }))
  return curves(drawn, { title: 'What is added by distance', across: 'distance', up: 'added to the score' })
}
