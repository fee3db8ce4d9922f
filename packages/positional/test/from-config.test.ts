import { QkvError, toFloat64 } from '@qkv/core'
import { alibi, multimodalRotary, rotary, temperature, type PositionScore, type RotaryEncoding } from '@qkv/positional'
import { fromConfig, type LayerPositions } from '@qkv/positional/config'
import { describe, expect, test } from 'vitest'
import { differing, uniform, unrotated } from './golden/model-configs.ts'
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

test.each([
  ['BLOOM 7B1', { model_type: 'bloom', n_head: 32, n_layer: 30, hidden_size: 4096 }, 30, alibi({ heads: 32 })],
  [
    'MPT 7B',
    { model_type: 'mpt', d_model: 4096, n_heads: 32, n_layers: 32, attn_config: { alibi: true, alibi_bias_max: 16 } },
    32,
    alibi({ heads: 32, maximum: 16 }),
  ],
])('%s has slopes on all layers', (_, config, count, expected) => {
  const positions = fromConfig(config)
  expect(positions).toHaveLength(count)
  for (const { encodings } of positions) expect(encodings).toEqual([expected])
})

test('an MPT without slopes has none', () => {
  const config = { model_type: 'mpt', n_heads: 32, n_layers: 32, attn_config: { alibi: false } }
  expect(() => fromConfig(config)).toThrow(/or ALiBi; received .*mpt/)
})

describe('a config whose layers are alike', () => {
  test.each(uniform)('%s', (_, config, expected) => {
    const positions = fromConfig(config)
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
  test.each(differing)('%s', (_, config, kinds, sliding, full) => {
    const positions = fromConfig(config)
    expect(positions.map(({ kind }) => kind[0]).join('')).toBe(kinds)
    const [slides, seesAll] = [shown(rotary(sliding)), shown(rotary(full))]
    for (const layer of positions) {
      expect(shown(rotaryOf(layer))).toEqual(layer.kind === 'sliding_attention' ? slides : seesAll)
    }
  })

  test.each(unrotated)('no rotary in some: %s', (_, config, expected) => {
    const letter = ({ encodings: [encoding] }: LayerPositions): string => (!encoding ? '−' : encoding.kind === 'rotary' ? 'r' : 't')
    expect(fromConfig(config).map(letter).join('')).toBe(expected)
  })

  test('Llama 4’s temperature and layout are its own', () => {
    const [, config] = unrotated.find(([name]) => name.startsWith('Llama 4'))!
    const positions = fromConfig(config)
    expect(rotaryOf(positions[0]!).layout).toBe('interleaved')
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
