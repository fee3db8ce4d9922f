import { capture, elementCount, scoreMod, toFloat64, type HostTensor, type IntExpression, type TokenPair } from '@qkv/core'
import type { ContentInputs, ContentScore, ContentTerms } from '../encoding.ts'
import { contentScore, type ContentSizes } from './content-score.ts'
import { addScaled, dot, float32Tensor, forEachToken, readVectors, rowOf, vectors, type Vectors } from './vectors.ts'

/** A table with a trained vector for each distance, and whether queries or keys are multiplied with it. */
export interface RelativePart {
  readonly multiplied: 'query' | 'key'
  /** [steps, headDim], or [heads, steps, headDim] where each head has vectors of its own. */
  readonly table: HostTensor
  /** Which vector a pair of tokens has. */
  step(pair: TokenPair): IntExpression
  /** What multiplies the products. Default what multiplies q·k. */
  readonly factor?: number | undefined
}

/**
 * Scores that take on products with a vector of the pair's distance, scale · (q·r + k·r′ + …). Each query or key meets all
 * vectors before attention and the kernel looks the products up. That takes memory for length · rows of the table: little for
 * short tables, but more than a matrix of all pairs where a table has a row for every distance.
 *
 * @param sizes heads where tables have vectors for each
 */
export function relativeProducts(operation: string, sizes: ContentSizes, parts: readonly RelativePart[]): ContentScore {
  const parameters = [...new Set(parts.map(({ table }) => table))]
  return contentScore(operation, sizes, parameters, (inputs) => terms(inputs, parts, parameters))
}

function terms(
  { query, key, scale }: ContentInputs,
  parts: readonly RelativePart[],
  parameters: readonly HostTensor[],
): ContentTerms {
  const tokens = { query: readVectors(query), key: readVectors(key) }
  const met = parts.map((part) => ({
    ...part,
    ...products(tokens[part.multiplied], part.table, tokens.query.heads, part.factor ?? scale),
  }))
  return {
    query,
    key,
    scoreMod: scoreMod((score, pair) =>
      met.reduce((sum, { multiplied, captured, step }) => {
        const token = multiplied === 'query' ? pair.row : pair.key
        return sum.add(capture(captured).at(pair.batch, pair.head, token, step(pair)))
      }, score),
    ),
    captured: met.map(({ captured }) => captured),
    backward: ({ dQuery, dKey, captured }) => {
      const d = { query: readVectors(dQuery), key: readVectors(dKey) }
      const dTables = new Map(parameters.map((table) => [table, new Float64Array(elementCount(table.shape))]))
      for (const part of met) part.backward(captured.get(part.captured)!, d[part.multiplied], dTables.get(part.table)!)
      return {
        dQuery: float32Tensor(d.query.values, d.query.shape),
        dKey: float32Tensor(d.key.values, d.key.shape),
        parameters: parameters.map((table) => float32Tensor(dTables.get(table)!, table.shape)),
      }
    },
  }
}

/** What tokens met. */
interface Products {
  /** [batch, heads, tokens, steps] */
  readonly captured: HostTensor
  /** Adds to the gradients of the tokens and of the table. */
  backward(dProducts: HostTensor, dTokens: Vectors, dTable: Float64Array): void
}

/** Of each token with each vector; a token that several query heads read meets the vectors of each. */
function products(tokens: Vectors, table: HostTensor, heads: number, factor: number): Products {
  const r = toFloat64(table)
  const [steps = 0, headDim = 0] = table.shape.slice(-2)
  const all = vectors([tokens.batch, heads, tokens.length, steps])
  const own = (head: number): number => Math.floor((head * tokens.heads) / heads)
  const vectorOf = (values: Float64Array, head: number, step: number): Float64Array =>
    rowOf(values, (table.shape.length === 3 ? head * steps : 0) + step, headDim)
  forEachToken(all, (b, h, i) => {
    const product = all.at(b, h, i)
    const token = tokens.at(b, own(h), i)
    for (let step = 0; step < steps; step++) product[step] = factor * dot(token, vectorOf(r, h, step))
  })
  return {
    captured: float32Tensor(all.values, all.shape),
    backward(dProducts, dTokens, dTable) {
      const d = vectors(all.shape, toFloat64(dProducts))
      forEachToken(all, (b, h, i) => {
        d.at(b, h, i).forEach((dProduct, step) => {
          addScaled(dTokens.at(b, own(h), i), factor * dProduct, vectorOf(r, h, step))
          addScaled(vectorOf(dTable, h, step), factor * dProduct, tokens.at(b, own(h), i))
        })
      })
    },
  }
}
