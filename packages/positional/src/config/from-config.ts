import type { RotaryEncoding, ScoreEncoding } from '../encoding.ts'
import { refused } from '../refuse.ts'
import { multimodalRotary } from '../rotary/multimodal.ts'
import { rotary, type RotaryOptions } from '../rotary/rotary.ts'
import { alibi } from '../score/alibi.ts'
import { temperature } from '../score/temperature.ts'
import { modelFacts, type ModelFacts } from './models.ts'

/** How one layer of a model knows positions. */
export interface LayerPositions {
  /** What the config calls the layer: `full_attention`, `sliding_attention`, … */
  readonly kind: string
  /** In the order of their use; none where the layer goes without positions (NoPE). Layers that agree share them. */
  readonly encodings: readonly (RotaryEncoding | ScoreEncoding)[]
}

/** A parsed `config.json`, or an object in it. */
export type ModelConfig = Readonly<Record<string, unknown>>

/**
 * The positional encodings of each layer of a decoder, from its `config.json` as Hugging Face transformers reads it:
 * `rope_parameters` or the older `rope_theta` and `rope_scaling`, for all layers or for each kind of layer; partial and
 * multimodal rotary; layers without rotary; and the attention temperature that Llama 4 and Ministral 3 use; or the slopes of
 * BLOOM and MPT. What a config leaves to its model's code (layout, base) follows from `model_type`.
 *
 * Not here, for it is no position: DeepSeek's softmax scale, which grows by (0.1·mscale_all_dim·ln factor + 1)².
 *
 * @throws QkvError `OPTION_INVALID` naming what is missing, of a wrong type or unknown.
 */
export function fromConfig(config: ModelConfig): readonly LayerPositions[] {
  const text = record(config, 'text_config') ?? config
  const modelType = String(text['model_type'] ?? config['model_type'] ?? '')
  const slopes = slopesOf(text, modelType)
  if (slopes !== undefined) {
    const positions = Object.freeze<LayerPositions>({ kind: 'full_attention', encodings: [slopes] })
    return new Array<LayerPositions>(required(text, 'num_hidden_layers', 'n_layer', 'n_layers')).fill(positions)
  }
  if (modelType !== 'llama' && !Object.keys(text).some((key) => /rope|rotary/.test(key))) {
    throw refused(
      'fromConfig',
      'config',
      'one that speaks of rotary (rope_theta, rope_scaling, rope_parameters, …) or ALiBi',
      modelType,
    )
  }
  const facts = modelFacts(modelType)
  const kinds = layerKinds(text, facts)
  const known = new Map<string, LayerPositions>()
  return kinds.map((kind, layer) => {
    const turns = isRotated(text, facts, kinds, layer)
    const key = `${kind} ${turns}`
    const positions = known.get(key) ?? Object.freeze<LayerPositions>({ kind, encodings: encodingsOf(text, facts, kind, turns) })
    known.set(key, positions)
    return positions
  })
}

/** ALiBi, of models that have it. */
function slopesOf(config: ModelConfig, modelType: string): ScoreEncoding | undefined {
  const own = modelType === 'mpt' ? record(config, 'attn_config') : modelType === 'bloom' ? { alibi: true } : undefined
  if (own?.['alibi'] !== true) return undefined
  return alibi({ heads: required(config, 'num_attention_heads', 'n_head', 'n_heads'), maximum: number(own, 'alibi_bias_max') })
}

function layerKinds(config: ModelConfig, facts: ModelFacts): readonly string[] {
  const listed = config['layer_types']
  if (Array.isArray(listed)) return listed.map(String)
  const layers = required(config, 'num_hidden_layers', 'n_layer', 'n_layers')
  const given = config['sliding_window_pattern']
  const pattern =
    typeof given === 'string'
      ? given.length
      : (number(config, 'sliding_window_pattern', 'global_attn_every_n_layers') ?? facts.pattern)
  // ModernBERT counts from its first layer, all others to the last of a pattern.
  const first = facts.model === 'modernbert' ? 0 : 1
  return Array.from({ length: layers }, (_, layer) =>
    pattern > 0 && (layer + first) % pattern !== 0 ? 'sliding_attention' : 'full_attention',
  )
}

function isRotated(config: ModelConfig, facts: ModelFacts, kinds: readonly string[], layer: number): boolean {
  const listed = config['no_rope_layers']
  // Despite its name, 1 stands for a layer with rotary.
  if (Array.isArray(listed) && listed.length > 0) return Boolean(listed[layer])
  const interval = number(config, 'no_rope_layer_interval') ?? facts.without
  if (interval > 0) return (layer + 1) % interval !== 0
  return !facts.slidingOnly || kinds[layer] === 'sliding_attention' || config['sliding_window'] === null
}

function encodingsOf(config: ModelConfig, facts: ModelFacts, kind: string, turns: boolean): (RotaryEncoding | ScoreEncoding)[] {
  const parameters = ropeParameters(config, facts, kind)
  if (!turns || parameters === undefined) return facts.model === 'llama4' ? llama4Temperature(config) : []
  const encodings: (RotaryEncoding | ScoreEncoding)[] = [rotaryOf(config, facts, kind, parameters)]
  const beta = number(parameters, 'llama_4_scaling_beta')
  if (beta !== undefined) {
    encodings.push(temperature({ beta, floor: required(parameters, 'original_max_position_embeddings'), offset: 0 }))
  }
  return encodings
}

function llama4Temperature(config: ModelConfig): ScoreEncoding[] {
  if (config['attn_temperature_tuning'] === false || config['attn_temperature_tuning'] === 0) return []
  return [temperature({ beta: number(config, 'attn_scale'), floor: number(config, 'floor_scale') })]
}

/** The parameters of a kind of layer, with what older configs keep beside them; undefined where it goes without rotary. */
function ropeParameters(config: ModelConfig, facts: ModelFacts, kind: string): ModelConfig | undefined {
  const given = record(config, 'rope_parameters') ?? record(config, 'rope_scaling') ?? {}
  const nested = Object.values(given).some((value) => typeof value === 'object' && value !== null && !Array.isArray(value))
  if (nested && given[kind] === null) return undefined
  const own = nested ? record(given, kind) : given
  if (own === undefined) throw refused('fromConfig', `rope_parameters.${kind}`, 'an object, or null for none', given[kind])

  const scaled = nested || kind !== 'sliding_attention' || !facts.scalesFullOnly
  const base = number(own, 'rope_theta') ?? number(config, 'rope_theta', 'global_rope_theta', 'rotary_emb_base') ?? facts.base
  if (scaled) return { ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== null)), rope_theta: base }
  return { rope_theta: number(config, 'rope_local_base_freq', 'local_rope_theta') ?? facts.slidingBase ?? base }
}

function rotaryOf(config: ModelConfig, facts: ModelFacts, kind: string, parameters: ModelConfig): RotaryEncoding {
  const type = ropeType(facts, parameters)
  const share = number(parameters, 'partial_rotary_factor') ?? number(config, 'partial_rotary_factor', 'rotary_pct') ?? facts.share
  const interleave = config['rope_interleave']
  const options = {
    ...parameters,
    type,
    dim: rotaryDim(config, kind, type === 'proportional' ? 1 : share),
    base: required(parameters, 'rope_theta'),
    layout: typeof interleave !== 'boolean' ? facts.layout : interleave ? 'interleaved' : 'half',
    partial_rotary_factor: share,
    max_position_embeddings: number(config, 'max_position_embeddings'),
    ...trainedLength(config, parameters),
    // Whatever JSON holds: `rotary` checks it.
  } as RotaryOptions

  const sections = parameters['mrope_section'] ?? parameters['xdrope_section']
  if (!Array.isArray(sections)) return rotary(options)
  const [h = 0, w = 0, t = 0] = sections.map(Number)
  // Ernie's sections are in the order of its pairs, ours in that of the axes.
  if (facts.model.startsWith('ernie')) return multimodalRotary({ ...options, sections: [t, h, w], order: 'spatial-first' })
  return multimodalRotary({
    ...options,
    sections: sections.map(Number),
    order: parameters['mrope_interleaved'] === true ? 'interleaved' : 'chunked',
  })
}

/** The type, by the name that `rotary` knows. */
function ropeType({ model }: ModelFacts, parameters: ModelConfig): unknown {
  const type = parameters['rope_type'] ?? parameters['type'] ?? 'default'
  if (type === 'su' || (type === 'yarn' && model === 'phi3')) return 'longrope'
  if (type === 'xdrope') return 'dynamic'
  return type === 'mrope' ? 'default' : type
}

/** What scalings call the trained length, and how much longer sequences may be. */
function trainedLength(config: ModelConfig, parameters: ModelConfig): ModelConfig {
  const reach = number(config, 'max_position_embeddings')
  const original =
    number(config, 'original_max_position_embeddings') ?? number(parameters, 'original_max_position_embeddings') ?? reach
  const factor = number(parameters, 'factor') ?? (reach && original ? reach / original : undefined)
  return { original_max_position_embeddings: original, ...(factor === undefined ? {} : { factor }) }
}

function rotaryDim(config: ModelConfig, kind: string, share: number): number {
  const given = number(config, 'qk_rope_head_dim', 'rotary_dim')
  if (given !== undefined) return given
  const own = kind === 'full_attention' ? number(config, 'global_head_dim') : undefined
  const headDim =
    own ??
    number(config, 'head_dim') ??
    required(config, 'hidden_size', 'n_embd') / required(config, 'num_attention_heads', 'n_head')
  return Math.floor(headDim * share)
}

function record(config: ModelConfig, key: string): ModelConfig | undefined {
  const value = config[key]
  if (value === undefined || value === null) return undefined
  if (typeof value === 'object' && !Array.isArray(value)) return value as ModelConfig
  throw refused('fromConfig', key, 'an object', value)
}

/** The number under the first of `keys` that there is. */
function number(config: ModelConfig, ...keys: readonly string[]): number | undefined {
  const key = keys.find((candidate) => config[candidate] !== undefined && config[candidate] !== null)
  const value = key && config[key]
  if (key === undefined || (typeof value === 'number' && Number.isFinite(value))) return value as number | undefined
  throw refused('fromConfig', key, 'a number', value)
}

function required(config: ModelConfig, ...keys: readonly string[]): number {
  const value = number(config, ...keys)
  if (value === undefined) throw refused('fromConfig', keys[0] ?? '', 'given', value)
  return value
}
