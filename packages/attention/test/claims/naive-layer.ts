import { tensor, toFloat64, type HostTensor } from '@qkv/core'
import { inspect, type MultiHeadAttentionOptions, type MultiHeadConfig } from '@qkv/attention'

/**
 * A layer written out in float64 from the formulas, one vector at a time: projections, norms, softmax(q·k)·v, gate. Only
 * the weights of attention come from `inspect.weights`, which the reference answers for.
 */
export function naiveLayer(
  input: HostTensor,
  memory: HostTensor,
  config: MultiHeadConfig,
  options: Omit<MultiHeadAttentionOptions, 'backend'>,
  state: Record<string, HostTensor>,
): Float64Array {
  const { heads, kvHeads, headDim, valueDim } = config
  const weight = (name: string): Matrix | undefined => state[name] && matrix(state[name])
  const [batch = 0, length = 0] = input.shape
  const output: number[] = []
  for (let b = 0; b < batch; b++) {
    const x = vectors(input, b)
    const y = vectors(memory, b)
    const fused = weight('queryKeyValue.weight')
    const sizes = { query: heads * headDim, key: kvHeads * headDim, value: kvHeads * valueDim }
    const starts = { query: 0, key: sizes.query, value: sizes.query + sizes.key }
    const project = (name: 'query' | 'key' | 'value', from: Matrix): Matrix => {
      const rows = fused ? fused.slice(starts[name], starts[name] + sizes[name]) : weight(`${name}.weight`)!
      const bias = fused
        ? weight('queryKeyValue.bias')
            ?.flat()
            .slice(starts[name], starts[name] + sizes[name])
        : weight(`${name}.bias`)?.flat()
      return from.map((vector) => linear(vector, rows, bias))
    }
    const normalised = (name: 'queryNorm' | 'keyNorm', projected: Matrix): Matrix => {
      const { queryKeyNorm } = config
      if (!queryKeyNorm) return projected
      const gain = weight(`${name}.weight`)!.flat()
      const shift = weight(`${name}.bias`)?.flat()
      const norm = (vector: number[]): number[] => normalise(vector, gain, shift, queryKeyNorm)
      if (queryKeyNorm.over === 'heads') return projected.map(norm)
      return projected.map((vector) => chunks(vector, headDim).flatMap(norm))
    }
    const q = normalised('queryNorm', project('query', x))
    const k = normalised('keyNorm', project('key', y))
    const v = project('value', y)
    const self = input === memory
    const map = inspect.weights(asHeads(q, heads), asHeads(k, kvHeads), {
      scale: options.scale,
      softcap: options.softcap,
      sinks: state['sinks'],
      causal: self ? options.causal : undefined,
      window: self ? options.window : undefined,
      position: self ? options.position : undefined,
    })
    for (let i = 0; i < length; i++) {
      const attended = Array.from({ length: heads }, (_, h) => {
        const from = Math.floor(h / (heads / kvHeads)) * valueDim
        return Array.from({ length: valueDim }, (_, c) => v.reduce((sum, value, j) => sum + map[h]![i]![j]! * value[from + c]!, 0))
      })
      const gate = config.gate && linear(x[i]!, weight('gate.weight')!, weight('gate.bias')?.flat())
      const open = attended.flatMap((head, h) =>
        head.map((element, c) =>
          gate ? element / (1 + Math.exp(-gate[config.gate === 'head' ? h : h * valueDim + c]!)) : element,
        ),
      )
      output.push(...linear(open, weight('output.weight')!, weight('output.bias')?.flat()))
    }
  }
  return Float64Array.from(output)
}

type Matrix = number[][]

function linear(vector: number[], rows: Matrix, bias: number[] | undefined): number[] {
  return rows.map((row, o) => row.reduce((sum, weight, c) => sum + weight * vector[c]!, bias?.[o] ?? 0))
}

function normalise(
  vector: number[],
  gain: number[],
  shift: number[] | undefined,
  { kind, epsilon }: { kind: 'rms' | 'layer'; epsilon: number },
): number[] {
  const mean = kind === 'layer' ? vector.reduce((sum, element) => sum + element, 0) / vector.length : 0
  const variance = vector.reduce((sum, element) => sum + (element - mean) ** 2, 0) / vector.length
  return vector.map((element, c) => ((element - mean) / Math.sqrt(variance + epsilon)) * gain[c]! + (shift?.[c] ?? 0))
}

function matrix(view: HostTensor): Matrix {
  return view.shape.length === 1 ? [[...toFloat64(view)]] : chunks([...toFloat64(view)], view.shape[1] ?? 1)
}

function vectors(view: HostTensor, batch: number): Matrix {
  return chunks([...toFloat64(view)], view.shape[2] ?? 1).slice(batch * view.shape[1]!, (batch + 1) * view.shape[1]!)
}

function chunks(list: number[], size: number): Matrix {
  return Array.from({ length: list.length / size }, (_, index) => list.slice(index * size, (index + 1) * size))
}

/** [length][heads·dim] as a tensor [1, heads, length, dim]. */
function asHeads(rows: Matrix, heads: number): HostTensor {
  const width = rows[0]!.length
  const dim = width / heads
  return tensor(Float32Array.from(rows.flat()), [1, heads, rows.length, dim], { strides: [0, dim, width, 1] })
}
