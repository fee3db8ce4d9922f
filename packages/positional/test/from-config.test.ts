import { QkvError, toFloat64 } from '@qkv/core'
import { multimodalRotary, rotary, temperature, type PositionScore, type RotaryEncoding, type RotaryOptions } from '@qkv/positional'
import { fromConfig, type LayerPositions, type ModelConfig } from '@qkv/positional/config'
import { describe, expect, test } from 'vitest'
import { host } from './support/rotate.ts'

/** What tells two rotary encodings apart: their layout and tables, near and far. */
function shown({ layout, dim, axes, table }: RotaryEncoding): unknown {
  const numbers = (position: number): number[] => {
    const { cos, sin } = table([position])
    return [...toFloat64(host(cos)), ...toFloat64(host(sin))]
  }
  return { layout, dim, axes, near: numbers(1), far: numbers(100_000) }
}

function rotaryOf({ encodings }: LayerPositions): RotaryEncoding {
  const [encoding] = encodings
  if (encoding?.kind !== 'rotary') throw new Error('no rotary')
  return encoding
}

const layers = { num_hidden_layers: 4 }

/** Made up; Phi's are found by search. */
const factors = (step: number): number[] => Array.from({ length: 48 }, (_, i) => 1 + i * step)

/** The positional parts of config.json files as they are published. */
const uniform: readonly (readonly [name: string, config: ModelConfig, expected: RotaryOptions])[] = [
  [
    'Llama 2, which says nothing',
    { model_type: 'llama', hidden_size: 4096, num_attention_heads: 32, rope_scaling: null },
    { dim: 128 },
  ],
  [
    'Llama 3.1',
    {
      model_type: 'llama',
      hidden_size: 4096,
      num_attention_heads: 32,
      max_position_embeddings: 131072,
      rope_theta: 500000.0,
      rope_scaling: {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
    },
    {
      dim: 128,
      base: 500000,
      type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  ],
  [
    'the same as transformers 5 writes it',
    {
      model_type: 'llama',
      head_dim: 128,
      max_position_embeddings: 131072,
      rope_parameters: {
        rope_theta: 500000.0,
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings: 8192,
        rope_type: 'llama3',
      },
    },
    {
      dim: 128,
      base: 500000,
      type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
  ],
  [
    'Qwen 2.5 with YaRN, by the old name of the type and with a null',
    {
      model_type: 'qwen2',
      head_dim: 64,
      max_position_embeddings: 32768,
      rope_theta: 1e6,
      rope_scaling: { factor: 4.0, type: 'yarn', attention_factor: null },
    },
    { dim: 64, base: 1e6, type: 'yarn', factor: 4, original_max_position_embeddings: 32768 },
  ],
  [
    'Phi-3 128k, partial in Phi-4-mini’s way',
    {
      model_type: 'phi3',
      head_dim: 128,
      partial_rotary_factor: 0.75,
      max_position_embeddings: 131072,
      original_max_position_embeddings: 4096,
      rope_theta: 10000.0,
      rope_scaling: { type: 'su', short_factor: factors(0.01), long_factor: factors(1) },
    },
    {
      dim: 96,
      type: 'longrope',
      short_factor: factors(0.01),
      long_factor: factors(1),
      original_max_position_embeddings: 4096,
      factor: 32,
    },
  ],
  [
    'DeepSeek-V3',
    {
      model_type: 'deepseek_v3',
      qk_rope_head_dim: 64,
      qk_nope_head_dim: 128,
      hidden_size: 7168,
      num_attention_heads: 128,
      max_position_embeddings: 163840,
      rope_theta: 10000,
      rope_scaling: {
        beta_fast: 32,
        beta_slow: 1,
        factor: 40,
        mscale: 1.0,
        mscale_all_dim: 1.0,
        original_max_position_embeddings: 4096,
        type: 'yarn',
      },
    },
    { dim: 64, layout: 'interleaved', type: 'yarn', factor: 40, attention_factor: 1, original_max_position_embeddings: 4096 },
  ],
  [
    'gpt-oss',
    {
      model_type: 'gpt_oss',
      head_dim: 64,
      max_position_embeddings: 131072,
      rope_theta: 150000,
      layer_types: ['sliding_attention', 'full_attention'],
      rope_scaling: {
        beta_fast: 32.0,
        beta_slow: 1.0,
        factor: 32.0,
        original_max_position_embeddings: 4096,
        rope_type: 'yarn',
        truncate: false,
      },
    },
    { dim: 64, base: 150000, type: 'yarn', factor: 32, truncate: false, original_max_position_embeddings: 4096 },
  ],
  [
    'Pythia',
    { model_type: 'gpt_neox', hidden_size: 512, num_attention_heads: 8, rotary_pct: 0.25, rotary_emb_base: 10000 },
    { dim: 16 },
  ],
  ['GPT-J', { model_type: 'gptj', n_embd: 4096, n_head: 16, n_layer: 28, rotary_dim: 64 }, { dim: 64, layout: 'interleaved' }],
  [
    'Command R',
    { model_type: 'cohere', hidden_size: 8192, num_attention_heads: 64, rope_theta: 8e6 },
    { dim: 128, base: 8e6, layout: 'interleaved' },
  ],
  ['Mixtral, whose base is the model’s own', { model_type: 'mixtral', head_dim: 128, rope_scaling: null }, { dim: 128, base: 1e6 }],
  [
    'dynamic',
    { model_type: 'llama', head_dim: 32, max_position_embeddings: 2048, rope_scaling: { type: 'dynamic', factor: 2.0 } },
    { dim: 32, type: 'dynamic', factor: 2, max_position_embeddings: 2048 },
  ],
  [
    'HunYuan, whose base grows once for all',
    {
      model_type: 'hunyuan_v1_dense',
      head_dim: 128,
      max_position_embeddings: 32768,
      rope_theta: 10000,
      rope_scaling: { alpha: 1000.0, factor: 1.0, type: 'dynamic' },
    },
    { dim: 128, base: 10000 * 1000 ** (128 / 126) },
  ],
]

describe('a config whose layers are alike', () => {
  test.each(uniform)('%s', (_, config, expected) => {
    const positions = fromConfig({ ...layers, ...config })
    expect(positions.length).toBeGreaterThan(1)
    for (const layer of positions) {
      expect(layer.encodings).toHaveLength(1)
      expect(shown(rotaryOf(layer))).toEqual(shown(rotary(expected)))
    }
    expect(new Set(positions.map(({ encodings }) => encodings)).size).toBe(new Set(positions.map(({ kind }) => kind)).size)
  })

  test('multimodal sections, chunked and interleaved', () => {
    const qwen2 = {
      model_type: 'qwen2_vl',
      hidden_size: 1536,
      num_attention_heads: 12,
      rope_theta: 1e6,
      rope_scaling: { type: 'mrope', mrope_section: [16, 24, 24] },
    }
    expect(shown(rotaryOf(fromConfig({ ...layers, ...qwen2 })[0]!))).toEqual(
      shown(multimodalRotary({ dim: 128, base: 1e6, sections: [16, 24, 24] })),
    )
    const qwen3 = {
      model_type: 'qwen3_vl',
      text_config: {
        ...layers,
        model_type: 'qwen3_vl_text',
        head_dim: 128,
        rope_theta: 5e6,
        rope_scaling: { mrope_interleaved: true, mrope_section: [24, 20, 20], rope_type: 'default' },
      },
    }
    const expected = multimodalRotary({ dim: 128, base: 5e6, sections: [24, 20, 20], order: 'interleaved' })
    expect(shown(rotaryOf(fromConfig(qwen3)[3]!))).toEqual(shown(expected))
  })
})

describe('a config whose layers differ', () => {
  const kinds = (positions: readonly LayerPositions[]): string => positions.map(({ kind }) => kind[0]).join('')

  test('Gemma 3: its own base where attention slides, scaled linearly where it does not', () => {
    const positions = fromConfig({
      model_type: 'gemma3_text',
      num_hidden_layers: 12,
      head_dim: 256,
      rope_theta: 1e6,
      rope_local_base_freq: 10000,
      sliding_window_pattern: 6,
      rope_scaling: { factor: 8.0, rope_type: 'linear' },
      max_position_embeddings: 131072,
    })
    expect(kinds(positions)).toBe('sssssfsssssf')
    expect(shown(rotaryOf(positions[0]!))).toEqual(shown(rotary({ dim: 256 })))
    expect(shown(rotaryOf(positions[5]!))).toEqual(shown(rotary({ dim: 256, base: 1e6, type: 'linear', factor: 8 })))
  })

  test('ModernBERT: two bases, every third layer from the first sees all', () => {
    const positions = fromConfig({
      model_type: 'modernbert',
      num_hidden_layers: 7,
      hidden_size: 768,
      num_attention_heads: 12,
      global_attn_every_n_layers: 3,
      global_rope_theta: 160000,
      local_rope_theta: 10000,
    })
    expect(kinds(positions)).toBe('fssfssf')
    expect(shown(rotaryOf(positions[0]!))).toEqual(shown(rotary({ dim: 64, base: 160000 })))
    expect(shown(rotaryOf(positions[1]!))).toEqual(shown(rotary({ dim: 64 })))
  })

  test('Gemma 4: parameters for each kind, a head dim of its own for full attention', () => {
    const positions = fromConfig({
      model_type: 'gemma4_text',
      num_hidden_layers: 6,
      head_dim: 256,
      global_head_dim: 512,
      rope_parameters: {
        sliding_attention: { rope_type: 'default', rope_theta: 10000.0 },
        full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1000000.0 },
      },
    })
    expect(kinds(positions)).toBe('sssssf')
    expect(shown(rotaryOf(positions[0]!))).toEqual(shown(rotary({ dim: 256 })))
    expect(shown(rotaryOf(positions[5]!))).toEqual(
      shown(rotary({ dim: 512, base: 1e6, type: 'proportional', partial_rotary_factor: 0.25 })),
    )
  })

  test('Olmo 3: scaled only where attention is full, with one base', () => {
    const yarn = {
      rope_type: 'yarn',
      factor: 8,
      original_max_position_embeddings: 8192,
      attention_factor: 1.2079441541679836,
    } as const
    const positions = fromConfig({
      model_type: 'olmo3',
      num_hidden_layers: 4,
      head_dim: 128,
      rope_theta: 500000,
      rope_scaling: yarn,
      max_position_embeddings: 65536,
    })
    expect(kinds(positions)).toBe('sssf')
    expect(shown(rotaryOf(positions[0]!))).toEqual(shown(rotary({ dim: 128, base: 500000 })))
    expect(shown(rotaryOf(positions[3]!))).toEqual(shown(rotary({ dim: 128, base: 500000, type: 'yarn', ...yarn })))
  })

  test('Command R7B: no rotary where attention is full', () => {
    const positions = fromConfig({
      model_type: 'cohere2',
      num_hidden_layers: 4,
      head_dim: 128,
      rope_theta: 50000,
      sliding_window: 4096,
      sliding_window_pattern: 4,
    })
    expect(positions.map(({ encodings }) => encodings.length)).toEqual([1, 1, 1, 0])
  })

  test('SmolLM3: every fourth layer without, as listed', () => {
    const config = { model_type: 'smollm3', num_hidden_layers: 8, hidden_size: 2048, num_attention_heads: 16, rope_theta: 5e6 }
    const listed = fromConfig({ ...config, no_rope_layers: [1, 1, 1, 0, 1, 1, 1, 0] })
    expect(listed.map(({ encodings }) => encodings.length)).toEqual([1, 1, 1, 0, 1, 1, 1, 0])
    expect(fromConfig({ ...config, no_rope_layer_interval: 4 }).map(({ encodings }) => encodings.length)).toEqual([
      1, 1, 1, 0, 1, 1, 1, 0,
    ])
  })

  test('Llama 4: a temperature where there is no rotary', () => {
    const scout = {
      model_type: 'llama4',
      text_config: {
        model_type: 'llama4_text',
        num_hidden_layers: 4,
        head_dim: 128,
        rope_theta: 500000.0,
        no_rope_layers: [],
        attn_temperature_tuning: true,
        floor_scale: 8192,
        attn_scale: 0.1,
        rope_scaling: {
          factor: 16.0,
          high_freq_factor: 1.0001,
          low_freq_factor: 1.0,
          original_max_position_embeddings: 8192,
          rope_type: 'llama3',
        },
      },
    }
    const positions = fromConfig(scout)
    expect(rotaryOf(positions[0]!).layout).toBe('interleaved')
    expect(positions.map(({ encodings }) => encodings.map(({ kind }) => kind))).toEqual([
      ['rotary'],
      ['rotary'],
      ['rotary'],
      ['score'],
    ])
    expect((positions[3]!.encodings[0] as PositionScore).scoreMod).toEqual(
      temperature({ beta: 0.1, floor: 8192, offset: 1 }).scoreMod,
    )
  })

  test('Ministral 3: a temperature besides rotary', () => {
    const positions = fromConfig({
      ...layers,
      model_type: 'ministral3',
      head_dim: 128,
      max_position_embeddings: 262144,
      rope_parameters: {
        type: 'yarn',
        rope_theta: 1000000.0,
        factor: 16.0,
        original_max_position_embeddings: 16384,
        beta_fast: 32.0,
        beta_slow: 1.0,
        mscale: 1.0,
        mscale_all_dim: 1.0,
        llama_4_scaling_beta: 0.1,
      },
    })
    const [turn, scale] = positions[0]!.encodings
    expect(shown(turn as RotaryEncoding)).toEqual(
      shown(
        rotary({ dim: 128, base: 1e6, type: 'yarn', factor: 16, original_max_position_embeddings: 16384, attention_factor: 1 }),
      ),
    )
    expect((scale as PositionScore).scoreMod).toEqual(temperature({ beta: 0.1, floor: 16384, offset: 0 }).scoreMod)
  })
})

describe('refusals name what is wrong', () => {
  const llama = { ...layers, model_type: 'llama', head_dim: 64 }
  test.each([
    ['config', { ...layers, model_type: 'gpt2', n_embd: 768, n_head: 12 }],
    ['num_hidden_layers', { model_type: 'llama', head_dim: 64 }],
    ['hidden_size', { ...layers, model_type: 'llama' }],
    ['head_dim', { ...llama, head_dim: '64' }],
    ['rope_scaling', { ...llama, rope_scaling: 'linear' }],
    ['type', { ...llama, rope_scaling: { rope_type: 'ntk-by-parts', factor: 4 } }],
    ['factor', { ...llama, rope_scaling: { rope_type: 'linear' } }],
    ['rope_theta', { ...llama, rope_theta: '10000' }],
    ['rope_theta', { ...llama, model_type: 'llama4_text', rope_scaling: null }],
    ['sections', { ...llama, rope_scaling: { rope_type: 'default', mrope_section: [16, 24, 24] } }],
    ['dim', { ...llama, head_dim: 63 }],
    [
      'rope_parameters.sliding_attention',
      { ...llama, layer_types: ['sliding_attention'], rope_parameters: { full_attention: { rope_type: 'default' } } },
    ],
  ] as const)('%s', (argument, config) => {
    try {
      fromConfig(config)
    } catch (error) {
      expect(QkvError.is(error) && error.argument).toBe(argument)
      return
    }
    throw new Error('nothing was refused')
  })
})
