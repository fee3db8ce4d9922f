import type { AttentionCase, LinearCase, SequenceCase, WritingCase } from './case.ts'
import type { ModelShape } from './models.ts'

/** Cases by what they ask, in few words each: a model's attention over so many tokens, a plain shape, a projection. */

export function attention(id: string, model: ModelShape, queryLength: number, keyLength: number): AttentionCase {
  const { queryHeads, keyHeads, headDim, options, title } = model
  return {
    kind: 'attention',
    id,
    source: title,
    batch: 1,
    queryHeads,
    keyHeads,
    queryLength,
    keyLength,
    headDim,
    valueDim: headDim,
    keyDtype: 'float32',
    ...options,
  }
}

export function prefill(model: ModelShape, length: number): AttentionCase {
  return attention(`prefill/${model.name}/${length}`, model, length, length)
}

export function decode(model: ModelShape, keyLength: number, keyDtype: AttentionCase['keyDtype']): AttentionCase {
  const group = keyDtype === 'float32' ? 'decode' : `cache/${keyDtype}`
  return { ...attention(`${group}/${model.name}/${keyLength}`, model, 1, keyLength), keyDtype }
}

/** A token over a cache of this kind, as QKV keeps it; peers keep theirs. */
export function decodeIn(cache: 'sliding' | 'paged', model: ModelShape, keyLength: number): AttentionCase {
  return { ...attention(`cache/${cache}/${model.name}/${keyLength}`, model, 1, keyLength), cache }
}

export function plain(id: string, heads: number, headDim: number, length: number, causal: boolean): AttentionCase {
  return {
    kind: 'attention',
    id,
    source: 'a plain shape',
    batch: 1,
    queryHeads: heads,
    keyHeads: heads,
    queryLength: length,
    keyLength: length,
    headDim,
    valueDim: headDim,
    keyDtype: 'float32',
    causal,
  }
}

export function linear(rows: number, inputs: number, outputs: number): LinearCase {
  return { kind: 'linear', id: `linear/${rows}x${inputs}x${outputs}`, source: 'a projection', rows, inputs, outputs }
}

export function sequence(width: number, length: number): SequenceCase {
  const name = `parallel/width-${width}`
  return {
    kind: 'sequence',
    id: `${name}/${length}`,
    source: 'a layer that reads a sequence',
    length,
    width,
    heads: width / 64,
    sweep: { name, title: `A layer of width ${width}`, length },
  }
}

export function writing(tokens: number): WritingCase {
  return {
    kind: 'writing',
    id: `writing/stories260K/${tokens}`,
    source: 'stories260K, 5 layers of width 64',
    prompt: 'Once upon a time',
    tokens,
    parameters: 260_032,
  }
}

export function growth(heads: number, length: number): AttentionCase {
  const name = `growth/causal-64x${heads}`
  return {
    ...plain(`${name}/${length}`, heads, 64, length, true),
    sweep: { name, title: heads === 1 ? 'One causal head' : `${heads} causal heads`, length },
  }
}
