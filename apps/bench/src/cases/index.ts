import type { BenchCase } from './case.ts'
import { models } from './models.ts'
import { attention, decode, decodeIn, growth, linear, plain, prefill, sequence, writing } from './shapes.ts'

export interface CaseGroup {
  readonly name: string
  /** What the group shows, for people. */
  readonly title: string
  readonly cases: readonly BenchCase[]
}

/** Every case, by what it shows. The first case of each group is the quick one. */
export const caseGroups: readonly CaseGroup[] = [
  {
    name: 'prefill',
    title: 'Reading a prompt: many queries over many keys',
    cases: [
      plain('prefill/full-64/1024', 8, 64, 1024, false),
      plain('prefill/full-64/512', 8, 64, 512, false),
      plain('prefill/full-64/4096', 8, 64, 4096, false),
      plain('prefill/full-128/1024', 8, 128, 1024, false),
      plain('prefill/full-128/4096', 8, 128, 4096, false),
      plain('prefill/causal-64/1024', 8, 64, 1024, true),
      plain('prefill/causal-64/4096', 8, 64, 4096, true),
      plain('prefill/causal-128/4096', 8, 128, 4096, true),
      prefill(models.llama3_8b, 1024),
      prefill(models.llama3_1b, 1024),
      prefill(models.mistral, 1024),
      prefill(models.gemma3Local, 2048),
      prefill(models.gemma3Global, 2048),
      prefill(models.gemma2, 1024),
      prefill(models.gpt2, 1024),
      prefill(models.whisperEncoder, 1500),
      prefill(models.vit, 197),
      prefill(models.gptOssLocal, 1024),
      { ...attention('prefill/stable-diffusion-1.5-cross/4096x77', models.stableDiffusion, 4096, 77) },
      {
        ...attention('prefill/whisper-base-cross/448x1500', models.whisperEncoder, 448, 1500),
        source: 'Whisper base, cross-attention',
      },
    ],
  },
  {
    name: 'decode',
    title: 'Writing a token: one query over a cache',
    cases: [
      decode(models.llama3_8b, 2048, 'float32'),
      decode(models.llama3_8b, 8192, 'float32'),
      decode(models.llama3_8b, 32768, 'float32'),
      decode(models.llama3_1b, 8192, 'float32'),
      decode(models.gpt2, 1024, 'float32'),
      decode(models.gptOssLocal, 4096, 'float32'),
      decode(models.gemma3Global, 8192, 'float32'),
    ],
  },
  {
    name: 'cache',
    title: 'The same over caches of other kinds: smaller numbers, a window alone, pages',
    cases: [
      decode(models.llama3_8b, 2048, 'float16'),
      decode(models.llama3_8b, 8192, 'float16'),
      decode(models.llama3_8b, 8192, 'int8'),
      decode(models.llama3_8b, 8192, 'int4'),
      decode(models.llama3_8b, 32768, 'float16'),
      decode(models.llama3_8b, 32768, 'int8'),
      decodeIn('sliding', models.mistral, 16384),
      decodeIn('paged', models.llama3_8b, 8192),
    ],
  },
  {
    name: 'chunked',
    title: 'A prompt in pieces: 128 or 256 queries over what is cached',
    cases: [
      attention('chunked/llama-3.2-1b/128x1024', models.llama3_1b, 128, 1024),
      attention('chunked/llama-3.2-1b/256x4096', models.llama3_1b, 256, 4096),
      attention('chunked/llama-3-8b/256x4096', models.llama3_8b, 256, 4096),
    ],
  },
  {
    name: 'ragged',
    title: 'Lengths and head dims that are no multiple of a tile: what they cost beside one that is',
    cases: [
      { ...plain('ragged/full-64/1000', 1, 64, 1000, false), source: '1000 tokens: no multiple' },
      { ...plain('ragged/full-64/1024', 1, 64, 1024, false), source: 'to compare with' },
      { ...plain('ragged/full-60/1024', 1, 60, 1024, false), source: 'headDim 60: no multiple' },
    ],
  },
  {
    name: 'mask',
    title: 'Masks by sparsity: time should fall with what is masked',
    cases: [
      { ...plain('mask/window-512/4096', 1, 64, 4096, true), windowLeft: 511 },
      { ...plain('mask/window-512/8192', 1, 64, 8192, true), windowLeft: 511 },
      { ...plain('mask/full/8192', 1, 64, 8192, false) },
      { ...plain('mask/causal/8192', 1, 64, 8192, true) },
      { ...plain('mask/window-128/8192', 1, 64, 8192, true), windowLeft: 127 },
      { ...plain('mask/documents-16/8192', 1, 64, 8192, true), documents: Array.from({ length: 16 }, () => 512) },
    ],
  },
  {
    name: 'encoding',
    title: 'Positions inside the kernel',
    cases: [
      { ...plain('encoding/rotary/64/1024', 8, 64, 1024, true), rotary: true },
      { ...attention('encoding/rotary/llama-3.2-1b/1024', models.llama3_1b, 1024, 1024), rotary: true },
      { ...plain('encoding/none/64/1024', 8, 64, 1024, true), source: 'the same without positions' },
      { ...plain('encoding/alibi/64/1024', 8, 64, 1024, true), alibi: true, source: 'BLOOM and MPT' },
      { ...plain('encoding/bias/64/1024', 8, 64, 1024, false), bias: true, source: 'a bias on every score' },
      { ...plain('encoding/t5/64/1024', 8, 64, 1024, false), t5: true, source: 'T5, its bias of distances from a table' },
    ],
  },
  {
    name: 'gradient',
    title: 'The backward pass alone',
    cases: [
      { ...plain('gradient/causal-64/1024', 8, 64, 1024, true), gradient: 'alone' },
      { ...plain('gradient/full-64/1024', 8, 64, 1024, false), gradient: 'alone' },
      { ...plain('gradient/full-128/1024', 8, 128, 1024, false), gradient: 'alone' },
    ],
  },
  {
    name: 'training',
    title: 'Training: forward and backward',
    cases: [
      { ...plain('training/full-64/512', 8, 64, 512, false), gradient: 'with forward' },
      { ...plain('training/causal-64/1024', 8, 64, 1024, true), gradient: 'with forward' },
    ],
  },
  {
    name: 'linear',
    title: 'The projections around attention',
    cases: [linear(512, 1024, 1024), linear(1, 2048, 2048), linear(512, 768, 3072)],
  },
  {
    name: 'small',
    title: 'Small problems',
    cases: [
      plain('small/full-64/64', 1, 64, 64, false),
      plain('small/full-32/16', 4, 32, 16, false),
      plain('small/causal-64x8/128', 8, 64, 128, true),
      attention('small/decode/gpt-2/256', models.gpt2, 1, 256),
    ],
  },
  {
    name: 'overhead',
    title: 'What a call costs besides its arithmetic',
    cases: [
      { ...plain('overhead/call/1', 1, 8, 1, false), source: 'next to no arithmetic: checks, dispatch and reading the output' },
      { ...plain('overhead/sharing/32', 2, 32, 32, false), source: 'the least work that threads share: what sharing costs' },
    ],
  },
  {
    name: 'writing',
    title: 'A whole model writes: stories260K, token by token',
    cases: [writing(200)],
  },
  {
    name: 'parallel',
    title: 'Attention, all tokens at once, against an LSTM, one after the other',
    cases: [128, 256, 512, 1024, 2048, 4096].map((length) => sequence(256, length)),
  },
  {
    name: 'growth',
    title: 'Growth with length: one causal head, and eight',
    cases: [
      ...[512, 1024, 2048, 4096, 8192, 16384, 32768, 131072].map((length) => growth(1, length)),
      ...[512, 2048, 8192, 32768].map((length) => growth(8, length)),
    ],
  },
]

/** The cases whose id contains the filter, or one of several between commas; with `quick`, the first of each group only. */
export function selectCases({ filter = '', quick = false }: { filter?: string; quick?: boolean }): readonly BenchCase[] {
  const groups = quick ? caseGroups.map(({ cases }) => cases.slice(0, 1)) : caseGroups.map(({ cases }) => cases)
  return groups.flat().filter(({ id }) => filter.split(',').some((part) => id.includes(part)))
}
