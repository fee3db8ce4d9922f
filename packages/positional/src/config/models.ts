/**
 * What a `config.json` leaves to the code of its model: by `model_type`, without a trailing `_text`. As in Hugging Face
 * transformers 5.18.
 */
export interface ModelFacts {
  readonly layout: 'half' | 'interleaved'
  /** `rope_theta` where the config has none. */
  readonly base: number
  /** `partial_rotary_factor` where the config has none. */
  readonly share: number
  /** Every so-manieth layer is `full_attention`, the others `sliding_attention`, where the config does not list them; 0 = all full. */
  readonly pattern: number
  /** Whether layers with full attention go without rotary where others slide. */
  readonly slidingOnly: boolean
  /** The base of layers with sliding attention, to which no scaling applies; undefined where it is that of all layers. */
  readonly slidingBase: number | undefined
}

export function modelFacts(modelType: string): ModelFacts {
  const model = modelType.replace(/_text$/, '')
  return {
    layout: interleaved.includes(model) ? 'interleaved' : 'half',
    base: bases[model] ?? 10000,
    share: shares[model] ?? 1,
    pattern: patterns[model] ?? 0,
    slidingOnly: slidingOnly.includes(model),
    slidingBase: slidingBases[model],
  }
}

const interleaved: readonly string[] = (
  'axk1 axk2 blt codegen cohere cohere2 cohere2_moe deepseek_v2 deepseek_v3 deepseek_v32 ernie4_5 ernie4_5_moe ' +
  'ernie4_5_vl_moe glm glm4 glm4_moe_lite glm4v glm_moe_dsa glm_ocr gptj helium llama4 longcat_flash mistral4 moonshine ' +
  'roformer youtu'
).split(' ')

const slidingOnly: readonly string[] = 'cohere2 cohere2_moe exaone4 exaone4_5 exaone_moe'.split(' ')

const patterns: Readonly<Record<string, number>> = { cohere2: 4, exaone4: 4, gemma3: 6, gemma3n: 5, gemma4: 6, modernbert: 3, olmo3: 4, t5gemma2: 6 }

const slidingBases: Readonly<Record<string, number>> = { gemma3: 1e4, gemma3n: 1e4, modernbert: 1e4, olmo3: 5e5, t5gemma2: 1e4 }

const shares: Readonly<Record<string, number>> = {
  fuyu: 0.5, glm: 0.5, glm4: 0.5, glm4_moe: 0.5, glm4v_moe: 0.5, gpt_neox: 0.25, moonshine: 0.9, nemotron: 0.5, persimmon: 0.5,
  phi: 0.5, qwen3_5: 0.25, qwen3_5_moe: 0.25, qwen3_next: 0.25, recurrent_gemma: 0.5, stablelm: 0.25,
}

const bases: Readonly<Record<string, number>> = {
  apertus: 12e6, bitnet: 5e5, blt: 5e5, cohere: 5e5, csm: 5e5, cwm: 1e6, emu3: 1e6, ernie4_5: 5e5, ernie4_5_moe: 5e5,
  ernie4_5_vl_moe: 5e5, flex_olmo: 5e5, fuyu: 25e3, gemma3: 1e6, gemma3n: 1e6, gpt_oss: 15e4, gte: 16e4, helium: 1e5, hy_v3: 11158840,
  jina_embeddings_v3: 2e4, lfm2: 1e6, lfm2_moe: 1e6, llama4: 5e5, longcat_flash: 1e7, minimax: 1e6, minimax_m2: 5e6, mixtral: 1e6,
  mllama: 5e5, modernbert: 16e4, nomic_bert: 1e3, olmo3: 5e5, paddleocr_vl: 5e5, phimoe: 1e6, qwen2_5_omni: 1e6, qwen2_5_vl: 1e6,
  qwen2_vl: 1e6, qwen3_omni_moe: 1e6, qwen3_vl: 5e5, qwen3_vl_moe: 5e5, smollm3: 2e6, solar_open: 1e6, t5gemma2: 1e6,
}
