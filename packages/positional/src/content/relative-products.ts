import { capture, elementCount, scoreMod, toFloat64, type HostTensor, type IntExpression, type TokenPair } from '@qkv/core'
import type { ContentInputs, ContentScore, ContentTerms, TermsGradient } from '../encoding.ts'
import { addScaled, checkInputs, dot, float32Tensor, forEachToken, readVectors, rowOf, vectors, type Vectors } from './vectors.ts'

/** Trained vectors of distances, and who meets them. */
export interface RelativeTables {
  /** The public function, for errors. */
  readonly operation: string
  readonly headDim: number
  /** Where each head has vectors of its own; else all share them. */
  readonly heads?: number | undefined
  /** [steps, headDim] or [heads, steps, headDim]; of as many steps where both are given. They may be one. */
  readonly metByQueries?: HostTensor | undefined
  readonly metByKeys?: HostTensor | undefined
  /** Which vector a pair of tokens has. */
  step(pair: TokenPair): IntExpression
}

/**
 * Scores that take on products with a vector of the pair's distance: scale · (q·r + k·r′). Each query or key meets all
 * vectors before attention and the kernel looks the products up, so memory grows with length · steps, never with its square.
 */
export function relativeProducts(tables: RelativeTables): ContentScore {
  const { operation, headDim, heads, metByQueries, metByKeys } = tables
  const parameters = [...new Set([metByQueries, metByKeys])].filter((table) => table !== undefined)
  return Object.freeze<ContentScore>({
    kind: 'score',
    follows: 'content',
    parameters,
    terms: (inputs) => {
      checkInputs(operation, inputs, headDim, heads)
      return terms(inputs, tables, parameters)
    },
  })
}

function terms({ query, key, scale }: ContentInputs, tables: RelativeTables, parameters: readonly HostTensor[]): ContentTerms {
  const [q, k] = [readVectors(query), readVectors(key)]
  const ofQueries = tables.metByQueries && products(q, tables.metByQueries, q.heads, scale)
  const ofKeys = tables.metByKeys && products(k, tables.metByKeys, q.heads, scale)
  return {
    query,
    key,
    scoreMod: scoreMod((score, pair) => {
      const { batch, head, row, key: at } = pair
      const step = tables.step(pair)
      const met = ofQueries ? score.add(capture(ofQueries.captured).at(batch, head, row, step)) : score
      return ofKeys ? met.add(capture(ofKeys.captured).at(batch, head, at, step)) : met
    }),
    captured: [ofQueries, ofKeys].flatMap((made) => made?.captured ?? []),
    backward: (gradient) => {
      const dTables = new Map(parameters.map((table) => [table, new Float64Array(elementCount(table.shape))]))
      const back = (vectorsGradient: HostTensor, made: Products | undefined): HostTensor =>
        made === undefined ? vectorsGradient : made.backward(vectorsGradient, gradient, dTables.get(made.table)!)
      return {
        dQuery: back(gradient.dQuery, ofQueries),
        dKey: back(gradient.dKey, ofKeys),
        parameters: parameters.map((table) => float32Tensor(dTables.get(table)!, table.shape)),
      }
    },
  }
}

/** What tokens met. */
interface Products {
  readonly table: HostTensor
  /** [batch, heads, tokens, steps] */
  readonly captured: HostTensor
  /** Adds the table's gradient to `dTable`. @returns the tokens' own. */
  backward(dVectors: HostTensor, gradient: TermsGradient, dTable: Float64Array): HostTensor
}

/** Of each token with each vector; a token that several query heads read meets the vectors of each. */
function products(tokens: Vectors, table: HostTensor, heads: number, scale: number): Products {
  const r = toFloat64(table)
  const [steps = 0, headDim = 0] = table.shape.slice(-2)
  const all = vectors([tokens.batch, heads, tokens.length, steps])
  const own = (head: number): number => Math.floor((head * tokens.heads) / heads)
  const vectorOf = (values: Float64Array, head: number, step: number): Float64Array =>
    rowOf(values, (table.shape.length === 3 ? head * steps : 0) + step, headDim)
  forEachToken(all, (b, h, i) => {
    const product = all.at(b, h, i)
    const token = tokens.at(b, own(h), i)
    for (let step = 0; step < steps; step++) product[step] = scale * dot(token, vectorOf(r, h, step))
  })
  const captured = float32Tensor(all.values, all.shape)
  return {
    table,
    captured,
    backward(dVectors, gradient, dTable) {
      const d = readVectors(dVectors)
      const dProducts = vectors(all.shape, toFloat64(gradient.captured.get(captured)!))
      forEachToken(all, (b, h, i) => {
        dProducts.at(b, h, i).forEach((dProduct, step) => {
          addScaled(d.at(b, own(h), i), scale * dProduct, vectorOf(r, h, step))
          addScaled(vectorOf(dTable, h, step), scale * dProduct, tokens.at(b, own(h), i))
        })
      })
      return float32Tensor(d.values, d.shape)
    },
  }
}
