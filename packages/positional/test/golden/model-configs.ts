import type { RotaryOptions } from '@qkv/positional'
import type { ModelConfig } from '@qkv/positional/config'

/** The positional parts of config.json files as they are published, and what they mean. */

const layers = { num_hidden_layers: 4 }

const llama31 = {
  rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 8192,
} as const

/** Made up; Phi's are found by search. */
const factors = (step: number): number[] => Array.from({ length: 48 }, (_, i) => 1 + i * step)

/** All layers are alike. */
export const uniform: readonly (readonly [name: string, config: ModelConfig, expected: RotaryOptions])[] = [
  [
    'Llama 2, which says nothing',
    { ...layers, model_type: 'llama', hidden_size: 4096, num_attention_heads: 32, rope_scaling: null },
    { dim: 128 },
  ],
  [
    'Llama 3.1',
    {
      ...layers, model_type: 'llama', hidden_size: 4096, num_attention_heads: 32, max_position_embeddings: 131072,
      rope_theta: 500000, rope_scaling: llama31,
    },
    { dim: 128, base: 500000, type: 'llama3', ...llama31 },
  ],
  [
    'the same as transformers 5 writes it',
    {
      ...layers, model_type: 'llama', head_dim: 128, max_position_embeddings: 131072,
      rope_parameters: { rope_theta: 500000, ...llama31 },
    },
    { dim: 128, base: 500000, type: 'llama3', ...llama31 },
  ],
  [
    'Qwen 2.5 with YaRN, by the old name of the type and with a null',
    {
      ...layers, model_type: 'qwen2', head_dim: 64, max_position_embeddings: 32768, rope_theta: 1e6,
      rope_scaling: { factor: 4, type: 'yarn', attention_factor: null },
    },
    { dim: 64, base: 1e6, type: 'yarn', factor: 4, original_max_position_embeddings: 32768 },
  ],
  [
    'Phi-3 128k, partial in Phi-4-mini’s way',
    {
      ...layers, model_type: 'phi3', head_dim: 128, partial_rotary_factor: 0.75, max_position_embeddings: 131072,
      original_max_position_embeddings: 4096, rope_theta: 10000,
      rope_scaling: { type: 'su', short_factor: factors(0.01), long_factor: factors(1) },
    },
    {
      dim: 96, type: 'longrope', short_factor: factors(0.01), long_factor: factors(1), factor: 32,
      original_max_position_embeddings: 4096,
    },
  ],
  [
    'DeepSeek-V3',
    {
      ...layers, model_type: 'deepseek_v3', qk_rope_head_dim: 64, qk_nope_head_dim: 128, hidden_size: 7168,
      num_attention_heads: 128, max_position_embeddings: 163840, rope_theta: 10000,
      rope_scaling: {
        type: 'yarn', factor: 40, beta_fast: 32, beta_slow: 1, mscale: 1, mscale_all_dim: 1,
        original_max_position_embeddings: 4096,
      },
    },
    { dim: 64, layout: 'interleaved', type: 'yarn', factor: 40, attention_factor: 1, original_max_position_embeddings: 4096 },
  ],
  [
    'gpt-oss',
    {
      model_type: 'gpt_oss', head_dim: 64, max_position_embeddings: 131072, rope_theta: 150000,
      layer_types: ['sliding_attention', 'full_attention'],
      rope_scaling: {
        rope_type: 'yarn', factor: 32, beta_fast: 32, beta_slow: 1, truncate: false, original_max_position_embeddings: 4096,
      },
    },
    { dim: 64, base: 150000, type: 'yarn', factor: 32, truncate: false, original_max_position_embeddings: 4096 },
  ],
  [
    'Pythia',
    { ...layers, model_type: 'gpt_neox', hidden_size: 512, num_attention_heads: 8, rotary_pct: 0.25, rotary_emb_base: 10000 },
    { dim: 16 },
  ],
  ['GPT-J', { model_type: 'gptj', n_embd: 4096, n_head: 16, n_layer: 28, rotary_dim: 64 }, { dim: 64, layout: 'interleaved' }],
  [
    'Command R',
    { ...layers, model_type: 'cohere', hidden_size: 8192, num_attention_heads: 64, rope_theta: 8e6 },
    { dim: 128, base: 8e6, layout: 'interleaved' },
  ],
  [
    'Mixtral, whose base is the model’s own',
    { ...layers, model_type: 'mixtral', head_dim: 128, rope_scaling: null },
    { dim: 128, base: 1e6 },
  ],
  [
    'dynamic',
    { ...layers, model_type: 'llama', head_dim: 32, max_position_embeddings: 2048, rope_scaling: { type: 'dynamic', factor: 2 } },
    { dim: 32, type: 'dynamic', factor: 2, max_position_embeddings: 2048 },
  ],
  [
    'HunYuan, whose base grows once for all',
    {
      ...layers, model_type: 'hunyuan_v1_dense', head_dim: 128, max_position_embeddings: 32768, rope_theta: 10000,
      rope_scaling: { alpha: 1000, factor: 1, type: 'dynamic' },
    },
    { dim: 128, base: 10000 * 1000 ** (128 / 126) },
  ],
]

const olmo3 = {
  rope_type: 'yarn', factor: 8, original_max_position_embeddings: 8192, attention_factor: 1.2079441541679836,
} as const

/** Two kinds of layers: their first letters in order, and the rotary of layers that slide and of those that see all. */
export const differing: readonly (readonly [
  name: string, config: ModelConfig, kinds: string, sliding: RotaryOptions, full: RotaryOptions,
])[] = [
  [
    'Gemma 3: its own base where attention slides, scaled linearly where it does not',
    {
      model_type: 'gemma3_text', num_hidden_layers: 12, head_dim: 256, rope_theta: 1e6, rope_local_base_freq: 10000,
      sliding_window_pattern: 6, max_position_embeddings: 131072, rope_scaling: { factor: 8, rope_type: 'linear' },
    },
    'sssssfsssssf',
    { dim: 256 },
    { dim: 256, base: 1e6, type: 'linear', factor: 8 },
  ],
  [
    'ModernBERT: two bases, every third layer from the first sees all',
    {
      model_type: 'modernbert', num_hidden_layers: 7, hidden_size: 768, num_attention_heads: 12,
      global_attn_every_n_layers: 3, global_rope_theta: 160000, local_rope_theta: 10000,
    },
    'fssfssf',
    { dim: 64 },
    { dim: 64, base: 160000 },
  ],
  [
    'Gemma 4: parameters for each kind, a head dim of its own for full attention',
    {
      model_type: 'gemma4_text', num_hidden_layers: 6, head_dim: 256, global_head_dim: 512,
      rope_parameters: {
        sliding_attention: { rope_type: 'default', rope_theta: 10000 },
        full_attention: { rope_type: 'proportional', partial_rotary_factor: 0.25, rope_theta: 1000000 },
      },
    },
    'sssssf',
    { dim: 256 },
    { dim: 512, base: 1e6, type: 'proportional', partial_rotary_factor: 0.25 },
  ],
  [
    'Olmo 3: scaled only where attention is full, with one base',
    {
      ...layers, model_type: 'olmo3', head_dim: 128, rope_theta: 500000, max_position_embeddings: 65536, rope_scaling: olmo3,
    },
    'sssf',
    { dim: 128, base: 500000 },
    { dim: 128, base: 500000, type: 'yarn', ...olmo3 },
  ],
]

const smolLm3 = { model_type: 'smollm3', num_hidden_layers: 8, hidden_size: 2048, num_attention_heads: 16, rope_theta: 5e6 }

const llama4 = {
  ...layers, model_type: 'llama4_text', head_dim: 128, rope_theta: 500000, no_rope_layers: [], floor_scale: 8192, attn_scale: 0.1,
  rope_scaling: { ...llama31, factor: 16, high_freq_factor: 1.0001 },
}

/** Some layers go without rotary: r for rotary, t for a temperature, − for neither, in order. */
export const unrotated: readonly (readonly [name: string, config: ModelConfig, layers: string])[] = [
  [
    'Command R7B: where attention is full',
    {
      ...layers, model_type: 'cohere2', head_dim: 128, rope_theta: 50000, sliding_window: 4096, sliding_window_pattern: 4,
    },
    'rrr−',
  ],
  ['SmolLM3: every fourth, as listed', { ...smolLm3, no_rope_layers: [1, 1, 1, 0, 1, 1, 1, 0] }, 'rrr−rrr−'],
  ['SmolLM3: every fourth, as counted', { ...smolLm3, no_rope_layer_interval: 4 }, 'rrr−rrr−'],
  [
    'Llama 4: every fourth, which has a temperature',
    { model_type: 'llama4', text_config: { ...llama4, attn_temperature_tuning: true } },
    'rrrt',
  ],
  ['Llama 4 without its temperature', { ...llama4, attn_temperature_tuning: false }, 'rrr−'],
]
