import type { RotaryOptions } from '@qkv/positional'

export interface GoldenFrequencies {
  readonly name: string
  readonly options: RotaryOptions
  readonly contextLength?: number
  /** Radians per position of each pair, as the source prints them. */
  readonly frequencies: string
  readonly attentionFactor: number
}

/**
 * Printed in Hugging Face transformers, tests/utils/test_modeling_rope_utils.py: a Llama with head dim 128, base 10000 and
 * 2048 positions.
 */
export const printedFrequencies: readonly GoldenFrequencies[] = [
  { name: 'default', options: { dim: 128 }, attentionFactor: 1, frequencies: `
    1.0000e+00 8.6596e-01 7.4989e-01 6.4938e-01 5.6234e-01 4.8697e-01 4.2170e-01 3.6517e-01 3.1623e-01 2.7384e-01
    2.3714e-01 2.0535e-01 1.7783e-01 1.5399e-01 1.3335e-01 1.1548e-01 1.0000e-01 8.6596e-02 7.4989e-02 6.4938e-02
    5.6234e-02 4.8697e-02 4.2170e-02 3.6517e-02 3.1623e-02 2.7384e-02 2.3714e-02 2.0535e-02 1.7783e-02 1.5399e-02
    1.3335e-02 1.1548e-02 1.0000e-02 8.6596e-03 7.4989e-03 6.4938e-03 5.6234e-03 4.8697e-03 4.2170e-03 3.6517e-03
    3.1623e-03 2.7384e-03 2.3714e-03 2.0535e-03 1.7783e-03 1.5399e-03 1.3335e-03 1.1548e-03 1.0000e-03 8.6596e-04
    7.4989e-04 6.4938e-04 5.6234e-04 4.8697e-04 4.2170e-04 3.6517e-04 3.1623e-04 2.7384e-04 2.3714e-04 2.0535e-04
    1.7783e-04 1.5399e-04 1.3335e-04 1.1548e-04
  ` },
  {
    name: 'dynamic at 16384 tokens',
    options: { dim: 128, type: 'dynamic', factor: 10, max_position_embeddings: 2048 },
    contextLength: 16384,
    attentionFactor: 1,
    frequencies: `
    1.0000e+00 8.0931e-01 6.5498e-01 5.3008e-01 4.2900e-01 3.4720e-01 2.8099e-01 2.2741e-01 1.8404e-01 1.4895e-01
    1.2055e-01 9.7558e-02 7.8955e-02 6.3899e-02 5.1714e-02 4.1853e-02 3.3872e-02 2.7413e-02 2.2185e-02 1.7955e-02
    1.4531e-02 1.1760e-02 9.5176e-03 7.7027e-03 6.2339e-03 5.0451e-03 4.0831e-03 3.3045e-03 2.6744e-03 2.1644e-03
    1.7517e-03 1.4176e-03 1.1473e-03 9.2852e-04 7.5146e-04 6.0817e-04 4.9220e-04 3.9834e-04 3.2238e-04 2.6091e-04
    2.1115e-04 1.7089e-04 1.3830e-04 1.1193e-04 9.0585e-05 7.3312e-05 5.9332e-05 4.8018e-05 3.8861e-05 3.1451e-05
    2.5453e-05 2.0600e-05 1.6672e-05 1.3492e-05 1.0920e-05 8.8374e-06 7.1522e-06 5.7883e-06 4.6845e-06 3.7912e-06
    3.0683e-06 2.4832e-06 2.0097e-06 1.6265e-06
  `,
  },
  {
    name: 'yarn',
    options: { dim: 128, type: 'yarn', factor: 10, beta_fast: 32, beta_slow: 1, original_max_position_embeddings: 2048 },
    attentionFactor: 0.1 * Math.log(10) + 1,
    frequencies: `
    1.0000e+00 8.6596e-01 7.4989e-01 6.4938e-01 5.6234e-01 4.8697e-01 4.2170e-01 3.6517e-01 3.1623e-01 2.7384e-01
    2.3714e-01 2.0535e-01 1.7783e-01 1.5399e-01 1.3335e-01 1.1548e-01 1.0000e-01 8.3479e-02 6.9590e-02 5.7925e-02
    4.8136e-02 3.9931e-02 3.3061e-02 2.7315e-02 2.2515e-02 1.8512e-02 1.5177e-02 1.2403e-02 1.0101e-02 8.1924e-03
    6.6143e-03 5.3120e-03 4.2400e-03 3.3599e-03 2.6396e-03 2.0520e-03 1.5746e-03 1.1882e-03 8.7713e-04 6.2810e-04
    4.3007e-04 2.7384e-04 2.3714e-04 2.0535e-04 1.7783e-04 1.5399e-04 1.3335e-04 1.1548e-04 1.0000e-04 8.6596e-05
    7.4989e-05 6.4938e-05 5.6234e-05 4.8697e-05 4.2170e-05 3.6517e-05 3.1623e-05 2.7384e-05 2.3714e-05 2.0535e-05
    1.7783e-05 1.5399e-05 1.3335e-05 1.1548e-05
  `,
  },
  {
    name: 'llama3',
    options: { dim: 128, type: 'llama3', factor: 10, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 2048 },
    attentionFactor: 1,
    frequencies: `
    1.0000e+00 8.6596e-01 7.4989e-01 6.4938e-01 5.6234e-01 4.8697e-01 4.2170e-01 3.6517e-01 3.1623e-01 2.7384e-01
    2.3714e-01 2.0535e-01 1.7783e-01 1.5399e-01 1.3335e-01 1.1548e-01 1.0000e-01 8.6596e-02 7.4989e-02 6.4938e-02
    5.6234e-02 4.8697e-02 4.2170e-02 3.6517e-02 3.1623e-02 2.7384e-02 2.3714e-02 2.0535e-02 1.7783e-02 1.5399e-02
    1.3335e-02 1.0730e-02 7.7785e-03 5.6009e-03 3.9991e-03 2.8248e-03 1.9675e-03 1.3449e-03 8.9549e-04 5.7363e-04
    3.4539e-04 2.7384e-04 2.3714e-04 2.0535e-04 1.7783e-04 1.5399e-04 1.3335e-04 1.1548e-04 1.0000e-04 8.6596e-05
    7.4989e-05 6.4938e-05 5.6234e-05 4.8697e-05 4.2170e-05 3.6517e-05 3.1623e-05 2.7384e-05 2.3714e-05 2.0535e-05
    1.7783e-05 1.5399e-05 1.3335e-05 1.1548e-05
  `,
  },
]

/** What the functions of transformers 5.18.0's modeling_rope_utils.py return when run (over NumPy, in float32), to seven digits. */
export const computedFrequencies: readonly GoldenFrequencies[] = [
  {
    name: 'linear',
    options: { type: 'linear', dim: 32, factor: 4 },
    attentionFactor: 1,
    frequencies: `
      0.25 0.1405853 0.07905694 0.04445698 0.025 0.01405853 0.007905695 0.004445699
      0.0025 0.001405853 0.0007905695 0.0004445699 0.00025 0.0001405853 7.905695e-05 4.445699e-05
    `,
  },
  {
    name: 'dynamic, within the trained length',
    options: { type: 'dynamic', dim: 32, factor: 2, max_position_embeddings: 2048 },
    contextLength: 100,
    attentionFactor: 1,
    frequencies: `
      1 0.5623413 0.3162278 0.1778279 0.1 0.05623413 0.03162278 0.01778279
      0.01 0.005623413 0.003162278 0.001778279 0.001 0.0005623413 0.0003162278 0.0001778279
    `,
  },
  {
    name: 'dynamic, beyond it',
    options: { type: 'dynamic', dim: 32, factor: 2, max_position_embeddings: 2048 },
    contextLength: 5000,
    attentionFactor: 1,
    frequencies: `
      1 0.5137166 0.2639047 0.1355722 0.0696457 0.03577815 0.01837983 0.009442021
      0.004850523 0.002491794 0.001280076 0.0006575962 0.0003378181 0.0001735427 8.915178e-05 4.579874e-05
    `,
  },
  {
    name: 'yarn',
    options: { type: 'yarn', dim: 32, factor: 4, original_max_position_embeddings: 4096 },
    attentionFactor: 1.138629436111989,
    frequencies: `
      1 0.5623413 0.3162278 0.1778279 0.1 0.05623413 0.02823462 0.0139722
      0.006785714 0.003213379 0.0014682 0.0006350998 0.00025 0.0001405853 7.905695e-05 4.445699e-05
    `,
  },
  {
    name: 'yarn, as in DeepSeek-V3',
    options: {
      type: 'yarn',
      dim: 32,
      factor: 40,
      original_max_position_embeddings: 4096,
      beta_fast: 32,
      beta_slow: 1,
      mscale: 1,
      mscale_all_dim: 0.707,
    },
    attentionFactor: 1.0857263992561355,
    frequencies: `
      1 0.5623413 0.3162278 0.1778279 0.1 0.05623413 0.02721818 0.01282902
      0.005821428 0.002490369 0.0009599772 0.0002921459 2.5e-05 1.405853e-05 7.905694e-06 4.445698e-06
    `,
  },
  {
    name: 'yarn without truncation, as in gpt-oss',
    options: {
      type: 'yarn',
      dim: 32,
      base: 150000,
      factor: 32,
      beta_fast: 32,
      beta_slow: 1,
      truncate: false,
      original_max_position_embeddings: 4096,
    },
    attentionFactor: 1.3465735902799727,
    frequencies: `
      1 0.474782 0.225418 0.1070244 0.05081327 0.019335 0.006794959 0.002093793
      0.0004564839 3.830881e-05 1.818834e-05 8.635496e-06 4.099978e-06 1.946596e-06 9.24209e-07 4.387979e-07
    `,
  },
  {
    name: 'longrope, short',
    options: {
      type: 'longrope',
      dim: 32,
      short_factor: [1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.45, 1.5, 1.55, 1.6, 1.65, 1.7, 1.75],
      long_factor: [1, 2.5, 4, 5.5, 7, 8.5, 10, 11.5, 13, 14.5, 16, 17.5, 19, 20.5, 22, 23.5],
      original_max_position_embeddings: 4096,
      max_position_embeddings: 131072,
    },
    contextLength: 4096,
    attentionFactor: 1.1902380714238083,
    frequencies: `
      1 0.5355632 0.2874798 0.154633 0.08333334 0.04498731 0.02432521 0.01317244
      0.007142857 0.003878216 0.002108185 0.001147277 0.000625 0.0003408129 0.0001860163 0.000101616
    `,
  },
  {
    name: 'longrope, long',
    options: {
      type: 'longrope',
      dim: 32,
      short_factor: [1, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.35, 1.4, 1.45, 1.5, 1.55, 1.6, 1.65, 1.7, 1.75],
      long_factor: [1, 2.5, 4, 5.5, 7, 8.5, 10, 11.5, 13, 14.5, 16, 17.5, 19, 20.5, 22, 23.5],
      original_max_position_embeddings: 4096,
      max_position_embeddings: 131072,
    },
    contextLength: 4097,
    attentionFactor: 1.1902380714238083,
    frequencies: `
      1 0.2249365 0.07905694 0.03233235 0.01428571 0.00661578 0.003162278 0.00154633
      0.0007692308 0.0003878216 0.0001976424 0.000101616 5.263158e-05 2.743129e-05 1.437399e-05 7.567147e-06
    `,
  },
  {
    name: 'llama3, as in Llama 3.2',
    options: {
      type: 'llama3',
      dim: 32,
      base: 500000,
      factor: 32,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    },
    attentionFactor: 1,
    frequencies: `
      1 0.4403666 0.1939228 0.0853971 0.03760603 0.01656044 0.007292665 0.003211446
      0.0004295567 1.946164e-05 8.570256e-06 3.774054e-06 1.661967e-06 7.318749e-07 3.222933e-07 1.419272e-07
    `,
  },
  {
    name: 'proportional, as in Gemma 4',
    options: { type: 'proportional', dim: 32, base: 1000000, partial_rotary_factor: 0.25 },
    attentionFactor: 1,
    frequencies: `
      1 0.4216965 0.1778279 0.07498942 0 0 0 0
      0 0 0 0 0 0 0 0
    `,
  },
  {
    name: 'proportional with a factor',
    options: { type: 'proportional', dim: 32, partial_rotary_factor: 0.6, factor: 8 },
    attentionFactor: 1,
    frequencies: `
      0.125 0.07029267 0.03952847 0.02222849 0.0125 0.007029266 0.003952847 0.002222849
      0.00125 0 0 0 0 0 0 0
    `,
  },
]
