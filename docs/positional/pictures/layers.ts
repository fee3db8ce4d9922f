import { fromConfig, type ModelConfig } from '@qkv/positional/config'
import { colours, rectangle, svg, text } from './svg.ts'

const shape = { num_hidden_layers: 24, hidden_size: 1024, num_attention_heads: 16 }

const models: Readonly<Record<string, ModelConfig>> = {
  'Llama 3': { ...shape, model_type: 'llama', rope_theta: 500000 },
  'Gemma 3': { ...shape, model_type: 'gemma3_text', rope_theta: 1e6, rope_local_base_freq: 10000 },
  'Command R7B': { ...shape, model_type: 'cohere2', rope_theta: 50000, sliding_window: 4096 },
  SmolLM3: { ...shape, model_type: 'smollm3', rope_theta: 5e6, no_rope_layer_interval: 4 },
  'Llama 4': { ...shape, model_type: 'llama4_text', rope_theta: 500000, no_rope_layer_interval: 4 },
}

/** A strip for each model, a cell for each layer. */
export function layersPicture(): string {
  const kinds = ['rotary, full attention', 'rotary, sliding attention', 'no positions', 'no positions, but a temperature']
  const parts = Object.entries(models).flatMap(([name, config], row) => [
    text(0, 53 + row * 26, name),
    ...fromConfig(config).map(({ kind, encodings }, layer) => {
      const rotates = encodings.some((encoding) => encoding.kind === 'rotary')
      const look = rotates ? (kind === 'sliding_attention' ? 1 : 0) : encodings.length === 0 ? 2 : 3
      return rectangle(96 + layer * 18, 40 + row * 26, 16, 18, ['#0072b2', '#56b4e9', '#cccccc', '#d55e00'][look] ?? colours[0]!)
    }),
  ])
  kinds.forEach((kind, i) => {
    const [x, y] = [96 + (i % 2) * 200, 4 + Math.floor(i / 2) * 16]
    parts.push(rectangle(x, y, 12, 12, ['#0072b2', '#56b4e9', '#cccccc', '#d55e00'][i]!), text(x + 16, y + 10, kind))
  })
  return svg(96 + 24 * 18, 40 + 5 * 26, 'Positions by layer', parts)
}
