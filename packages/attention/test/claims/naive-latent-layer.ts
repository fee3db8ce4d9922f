import { toFloat64, type HostTensor } from '@qkv/core'

interface Sizes {
  readonly heads: number
  readonly latentDim: number
  readonly queryLatentDim?: number | undefined
  readonly contentDim: number
  readonly rotaryDim: number
  readonly valueDim: number
}

/** Latent attention from its formulas in float64, one pair of tokens at a time; rotary with base 10000, interleaved. */
export function naiveLatentLayer(input: HostTensor, sizes: Sizes, state: Record<string, HostTensor>): Float64Array {
  const { heads, latentDim, queryLatentDim, contentDim, rotaryDim, valueDim } = sizes
  const [batch = 0, length = 0, modelDim = 0] = input.shape
  const x = rows([...toFloat64(input)], modelDim)
  const matrix = (name: string): number[][] => rows([...toFloat64(state[name]!)], state[name]!.shape[1]!)
  const times = (name: string, vector: number[]): number[] => matrix(name).map((row) => dot(row, vector))
  const normalised = (name: string, vector: number[]): number[] => {
    const weight = toFloat64(state[name]!)
    return rmsNorm(vector).map((element, index) => element * weight[index]!)
  }
  const output: number[] = []
  for (let b = 0; b < batch; b++) {
    const tokens = x.slice(b * length, (b + 1) * length).map((vector, position) => {
      const latent = times('latent.weight', vector)
      const c = normalised('latentNorm.weight', latent.slice(0, latentDim))
      const keyValue = rows(times('keyValue.weight', c), contentDim + valueDim)
      const sharedKey = turned(latent.slice(latentDim), position)
      const query =
        queryLatentDim === undefined
          ? times('query.weight', vector)
          : times('queryUp.weight', normalised('queryNorm.weight', times('queryDown.weight', vector)))
      return {
        queries: rows(query, contentDim + rotaryDim).map((q) => [
          ...q.slice(0, contentDim),
          ...turned(q.slice(contentDim), position),
        ]),
        keys: keyValue.map((own) => [...own.slice(0, contentDim), ...sharedKey]),
        values: keyValue.map((own) => own.slice(contentDim)),
      }
    })
    for (let i = 0; i < length; i++) {
      const attended = Array.from({ length: heads }, (_, h) => {
        const weights = tokens
          .slice(0, i + 1)
          .map(({ keys }) => Math.exp(dot(tokens[i]!.queries[h]!, keys[h]!) / Math.sqrt(contentDim + rotaryDim)))
        const sum = weights.reduce((total, weight) => total + weight, 0)
        return Array.from({ length: valueDim }, (_, c) =>
          weights.reduce((total, weight, j) => total + (weight / sum) * tokens[j]!.values[h]![c]!, 0),
        )
      })
      output.push(...times('output.weight', attended.flat()))
    }
  }
  return Float64Array.from(output)
}

function turned(vector: number[], position: number): number[] {
  return rows(vector, 2).flatMap(([u = 0, w = 0], pair) => {
    const angle = position * 10000 ** ((-2 * pair) / vector.length)
    return [u * Math.cos(angle) - w * Math.sin(angle), w * Math.cos(angle) + u * Math.sin(angle)]
  })
}

function rmsNorm(vector: number[]): number[] {
  const scale = Math.sqrt(dot(vector, vector) / vector.length + 1e-6)
  return vector.map((element) => element / scale)
}

function dot(a: number[], b: number[]): number {
  return a.reduce((sum, element, index) => sum + element * b[index]!, 0)
}

function rows(list: number[], size: number): number[][] {
  return Array.from({ length: list.length / size }, (_, index) => list.slice(index * size, (index + 1) * size))
}
