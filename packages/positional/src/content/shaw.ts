import { capture, scoreMod, toFloat64, type HostTensor } from '@qkv/core'
import type { ContentInputs, ContentScore, ContentTerms } from '../encoding.ts'
import { checkTable, refused } from '../refuse.ts'
import { addScaled, checkInputs, dot, float32Tensor, forEachToken, readVectors, rowOf, vectors } from './vectors.ts'

export interface ShawOptions {
  /** [2·reach + 1, headDim], trained, shared by the heads: a vector for each distance key − query from −reach to reach. */
  readonly table: HostTensor
}

/**
 * Relative position representations: the key takes on a trained vector for its distance from the query, clipped,
 *
 *     score + scale · q·r(key − query).
 *
 * The products of each query with all 2·reach + 1 vectors are made before attention, and the kernel looks them up.
 * The paper's second table, added to the values, is no score change and not part of this. Shaw et al. 2018,
 * arXiv:1803.02155; wav2vec2-BERT, BERT's `relative_key`.
 */
export function shaw({ table }: ShawOptions): ContentScore {
  const [steps = 0, headDim = 0] = checkTable('shaw', 'table', table, ['2·reach + 1', 'headDim'])
  if (steps % 2 === 0) throw refused('shaw', 'table', 'of an odd number of rows, 2·reach + 1', steps)
  return Object.freeze<ContentScore>({
    kind: 'score',
    follows: 'content',
    parameters: [table],
    terms: (inputs) => {
      checkInputs('shaw', inputs, headDim)
      return shawTerms(inputs, table, steps, headDim)
    },
  })
}

function shawTerms({ query, key, scale }: ContentInputs, table: HostTensor, steps: number, headDim: number): ContentTerms {
  const q = readVectors(query)
  const r = toFloat64(table)
  const products = vectors([...q.shape.slice(0, 3), steps])
  forEachToken(q, (b, h, i) => {
    const product = products.at(b, h, i)
    for (let n = 0; n < steps; n++) product[n] = scale * dot(q.at(b, h, i), rowOf(r, n, headDim))
  })

  const captured = float32Tensor(products.values, products.shape)
  const product = capture(captured)
  const reach = (steps - 1) / 2
  return {
    query,
    key,
    scoreMod: scoreMod((score, pair) => {
      const distance = pair.key.sub(pair.query).clamp(-reach, reach)
      return score.add(product.at(pair.batch, pair.head, pair.row, distance.add(reach)))
    }),
    backward: (gradient) => {
      const dQuery = readVectors(gradient.dQuery)
      const dTable = new Float64Array(r.length)
      const dProducts = vectors(products.shape, toFloat64(gradient.captured.get(captured)!))
      forEachToken(q, (b, h, i) => {
        dProducts.at(b, h, i).forEach((dProduct, n) => {
          addScaled(dQuery.at(b, h, i), scale * dProduct, rowOf(r, n, headDim))
          addScaled(rowOf(dTable, n, headDim), scale * dProduct, q.at(b, h, i))
        })
      })
      return {
        dQuery: float32Tensor(dQuery.values, dQuery.shape),
        dKey: gradient.dKey,
        parameters: [float32Tensor(dTable, [steps, headDim])],
      }
    },
  }
}
