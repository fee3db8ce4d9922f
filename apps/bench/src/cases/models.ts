import type { AttentionCase } from './case.ts'

/** The attention of models that people run, by their published configurations. */
export interface ModelShape {
  readonly name: string
  readonly title: string
  readonly queryHeads: number
  readonly keyHeads: number
  readonly headDim: number
  readonly options: Pick<AttentionCase, 'causal' | 'windowLeft' | 'softcap' | 'sinks'>
}

type ModelName =
  | 'llama3_8b'
  | 'llama3_1b'
  | 'mistral'
  | 'gemma3Local'
  | 'gemma3Global'
  | 'gemma2'
  | 'gpt2'
  | 'whisperEncoder'
  | 'vit'
  | 'stableDiffusion'
  | 'gptOssLocal'

export const models: Readonly<Record<ModelName, ModelShape>> = {
  llama3_8b: { name: 'llama-3-8b', title: 'Llama 3 8B', queryHeads: 32, keyHeads: 8, headDim: 128, options: { causal: true } },
  llama3_1b: { name: 'llama-3.2-1b', title: 'Llama 3.2 1B', queryHeads: 32, keyHeads: 8, headDim: 64, options: { causal: true } },
  mistral: {
    name: 'mistral-7b',
    title: 'Mistral 7B v0.1',
    queryHeads: 32,
    keyHeads: 8,
    headDim: 128,
    options: { causal: true, windowLeft: 4095 },
  },
  gemma3Local: {
    name: 'gemma-3-1b-local',
    title: 'Gemma 3 1B, local layers',
    queryHeads: 4,
    keyHeads: 1,
    headDim: 256,
    options: { causal: true, windowLeft: 511 },
  },
  gemma3Global: {
    name: 'gemma-3-1b-global',
    title: 'Gemma 3 1B, global layers',
    queryHeads: 4,
    keyHeads: 1,
    headDim: 256,
    options: { causal: true },
  },
  gemma2: {
    name: 'gemma-2-2b',
    title: 'Gemma 2 2B, with softcap',
    queryHeads: 8,
    keyHeads: 4,
    headDim: 256,
    options: { causal: true, softcap: 50 },
  },
  gpt2: { name: 'gpt-2', title: 'GPT-2', queryHeads: 12, keyHeads: 12, headDim: 64, options: { causal: true } },
  whisperEncoder: {
    name: 'whisper-base-encoder',
    title: 'Whisper base, encoder',
    queryHeads: 8,
    keyHeads: 8,
    headDim: 64,
    options: { causal: false },
  },
  vit: { name: 'vit-b-16', title: 'ViT-B/16', queryHeads: 12, keyHeads: 12, headDim: 64, options: { causal: false } },
  stableDiffusion: {
    name: 'stable-diffusion-1.5',
    title: 'Stable Diffusion 1.5, cross-attention at 64×64',
    queryHeads: 8,
    keyHeads: 8,
    headDim: 40,
    options: { causal: false },
  },
  gptOssLocal: {
    name: 'gpt-oss-20b-local',
    title: 'gpt-oss 20B, sliding layers with sinks',
    queryHeads: 64,
    keyHeads: 8,
    headDim: 64,
    options: { causal: true, windowLeft: 127, sinks: true },
  },
}
