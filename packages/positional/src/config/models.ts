/**
 * What a `config.json` leaves to the code of its model: by `model_type`, without a trailing `_text`. As in Hugging Face
 * transformers 5.18.
 */
export interface ModelFacts {
  readonly model: string
  readonly layout: 'half' | 'interleaved'
  /** `rope_theta` where the config has none; undefined where it must. */
  readonly base: number | undefined
  /** `partial_rotary_factor` where the config has none. */
  readonly share: number
  /** Every n-th layer is `full_attention`, the others `sliding_attention`, where the config does not list them; 0 = all full. */
  readonly pattern: number
  /** Every n-th layer goes without rotary, where the config does not say; 0 = none. */
  readonly without: number
  /** Whether layers with full attention go without rotary where others slide. */
  readonly slidingOnly: boolean
  /** Whether older configs' `rope_scaling` is for layers with full attention alone. */
  readonly scalesFullOnly: boolean
  /** The base of layers with sliding attention where it is not that of the others and the config has none. */
  readonly slidingBase: number | undefined
}

export function modelFacts(modelType: string): ModelFacts {
  const model = modelType.replace(/_text$/, '')
  return {
    model,
    layout: interleaved.includes(model) ? 'interleaved' : 'half',
    base: bases[model],
    share: shares[model] ?? 1,
    pattern: patterns[model] ?? 0,
    without: model === 'llama4' || model === 'smollm3' ? 4 : 0,
    slidingOnly: slidingOnly.includes(model),
    scalesFullOnly: scalesFullOnly.includes(model),
    slidingBase: model === 'olmo3' ? undefined : 1e4,
  }
}

const interleaved: readonly string[] = (
  'axk1 axk2 blt codegen cohere cohere2 cohere2_moe deepseek_v2 deepseek_v3 deepseek_v32 ernie4_5 ernie4_5_moe ' +
  'ernie4_5_vl_moe glm glm4 glm4_moe_lite glm4v glm_moe_dsa glm_ocr gptj helium llama4 longcat_flash mistral4 moonshine ' +
  'roformer youtu'
).split(' ')

const slidingOnly: readonly string[] = 'cohere2 cohere2_moe exaone4 exaone4_5 exaone_moe'.split(' ')

const patterns: Readonly<Record<string, number>> = {
  cohere2: 4,
  exaone4: 4,
  gemma3: 6,
  gemma3n: 5,
  gemma4: 6,
  modernbert: 3,
  olmo3: 4,
  t5gemma2: 6,
}

const scalesFullOnly: readonly string[] = 'gemma3 gemma3n modernbert olmo3 t5gemma2'.split(' ')

const shares: Readonly<Record<string, number>> = {
  glm: 0.5,
  glm4: 0.5,
  glm4_moe: 0.5,
  glm4v_moe: 0.5,
  gpt_neox: 0.25,
  moonshine: 0.9,
  nemotron: 0.5,
  persimmon: 0.5,
  phi: 0.5,
  qwen3_5: 0.25,
  qwen3_5_moe: 0.25,
  qwen3_next: 0.25,
  recurrent_gemma: 0.5,
  stablelm: 0.25,
}

/** Of models whose published configs leave it out; those of the others name it. */
const bases: Readonly<Record<string, number>> = {
  codegen: 1e4,
  falcon: 1e4,
  gemma3: 1e6,
  gemma3n: 1e6,
  gpt_neox: 1e4,
  gptj: 1e4,
  llama: 1e4,
  mixtral: 1e6,
  modernbert: 16e4,
  persimmon: 25e3,
  phi: 1e4,
  roformer: 1e4,
  t5gemma2: 1e6,
}
