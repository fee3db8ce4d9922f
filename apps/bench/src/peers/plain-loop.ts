import { keysOfRow, type AttentionCase } from '../cases/case.ts'
import { attentionVectors, type AttentionVectors } from '../cases/vectors.ts'
import { Unavailable, type Contestant, type Peer } from './peer.ts'

/** Attention as one writes it down first: three loops over typed arrays, one row of scores at a time. */
export const plainLoop: Peer = {
  id: 'plain-loop',
  title: 'Plain JavaScript loops',
  device: 'cpu',
  async load() {
    return {
      version: '1',
      settings: 'one thread',
      async prepare(bench) {
        if (bench.kind !== 'attention') throw new Unavailable('attention only')
        if (bench.rotary) throw new Unavailable('knows no positions')
        if (bench.gradient) throw new Unavailable('forward only')
        if (bench.keyDtype !== 'float32') throw new Unavailable('float32 only')
        return contestant(bench)
      },
    }
  },
}

function contestant(bench: AttentionCase): Contestant {
  const vectors = attentionVectors(bench)
  const output = new Float32Array(bench.batch * bench.queryHeads * bench.queryLength * bench.valueDim)
  return {
    how: 'three loops',
    run: () => attend(bench, vectors, output),
    result: async () => output,
    dispose() {},
  }
}

function attend(bench: AttentionCase, { query, key, value, sinks, bias }: AttentionVectors, output: Float32Array): void {
  const { batch, queryHeads, keyHeads, queryLength, keyLength, headDim, valueDim, softcap, alibi } = bench
  const scale = 1 / Math.sqrt(headDim)
  const scores = new Float32Array(keyLength)
  output.fill(0)
  for (let head = 0; head < batch * queryHeads; head++) {
    const h = head % queryHeads
    const keys = (Math.floor(head / queryHeads) * keyHeads + Math.floor((h * keyHeads) / queryHeads)) * keyLength
    const slope = 2 ** ((-8 * (h + 1)) / queryHeads)
    for (let i = 0; i < queryLength; i++) {
      const row = head * queryLength + i
      const position = keyLength - queryLength + i
      const { first, end } = keysOfRow(bench, i)
      let maximum = sinks?.[h] ?? -Infinity
      for (let j = first; j < end; j++) {
        let score = 0
        for (let c = 0; c < headDim; c++) score += query[row * headDim + c]! * key[(keys + j) * headDim + c]!
        score *= scale
        if (softcap !== undefined) score = softcap * Math.tanh(score / softcap)
        if (alibi) score += slope * (j - position)
        if (bias) score += bias[(h * queryLength + i) * keyLength + j]!
        scores[j] = score
        if (score > maximum) maximum = score
      }
      let sum = sinks === undefined ? 0 : Math.exp(sinks[h]! - maximum)
      for (let j = first; j < end; j++) sum += scores[j] = Math.exp(scores[j]! - maximum)
      for (let j = first; j < end; j++) {
        const weight = scores[j]! / sum
        for (let c = 0; c < valueDim; c++) output[row * valueDim + c]! += weight * value[(keys + j) * valueDim + c]!
      }
    }
  }
}
