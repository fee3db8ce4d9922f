import { checkTensor, isFloat, type HostTensor } from '@qkv/core'
import type { ContentInputs, ContentScore, ContentTerms } from '../encoding.ts'
import { misshapen, refused } from '../refuse.ts'

/** What an encoding takes. */
export interface ContentSizes {
  readonly headDim: number
  /** Of the query, where each has parameters of its own; else any that the key's divide. */
  readonly heads?: number | undefined
}

/** An encoding that reads queries and keys; it is given none that do not fit it and each other. */
export function contentScore(
  operation: string,
  sizes: ContentSizes,
  parameters: readonly HostTensor[],
  terms: (inputs: ContentInputs) => ContentTerms,
): ContentScore {
  return Object.freeze<ContentScore>({
    kind: 'score',
    follows: 'content',
    parameters,
    terms: (inputs) => {
      checkInputs(operation, inputs, sizes)
      return terms(inputs)
    },
  })
}

/**
 * Batch and lengths may be 0.
 *
 * @throws QkvError unless query and key are float tensors that fit each other, with vectors of `headDim` elements.
 */
function checkInputs(operation: string, { query, key, starts }: ContentInputs, { headDim, heads }: ContentSizes): void {
  for (const [argument, view] of Object.entries({ query, key })) {
    checkTensor(operation, argument, view)
    if (!isFloat(view.dtype)) throw refused(operation, argument, 'of a float dtype', view.dtype)
    if (view.shape.length !== 4 || view.shape[3] !== headDim) {
      throw misshapen(operation, argument, `[batch, heads, length, ${headDim}]`, view.shape)
    }
  }
  const [batch = 0, queryHeads = 0] = query.shape
  const [keyBatch = 0, keyHeads = 0] = key.shape
  if (heads !== undefined && queryHeads !== heads) {
    throw misshapen(operation, 'query', `[batch, ${heads}, length, ${headDim}]`, query.shape)
  }
  if (starts !== undefined && !(starts.length === batch && starts.every(Number.isSafeInteger))) {
    throw refused(operation, 'starts', `${batch} whole numbers, one a batch entry`, starts)
  }
  if (keyBatch !== batch || (queryHeads > 0 && queryHeads % keyHeads !== 0)) {
    throw misshapen(operation, 'key', `[${batch}, heads that divide ${queryHeads}, length, ${headDim}]`, key.shape)
  }
}
