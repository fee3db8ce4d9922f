import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { onnxSuite } from '@qkv/testing/suites/onnx-suite'
import { propertySuite } from '@qkv/testing/suites/property-suite'
import type { Suite } from '@qkv/testing/suites/suite'
import { describe } from 'vitest'
import { backendOf, type CpuBackend } from '../src/backend.ts'
import { openWasmEngine } from '../src/wasm/open.ts'
import type { Instructions } from '../src/wasm/module.ts'

const relaxed: Instructions = 'relaxed SIMD'

/**
 * How each engine is tested, and how much: in full where no threads are. Layers in full with relaxed SIMD alone, which nearly all
 * users get, and a quarter of them without.
 */
const engines: readonly (readonly [Instructions, number, number])[] = [
  ['SIMD', 1, 1],
  [relaxed, 1, 1],
  ['SIMD', 3, 0.05],
  [relaxed, 2, 0.25],
]

describe.each(engines)('WebAssembly, %s, threads: %i', (instructions, threads, share) => {
  const suite: Suite = {
    makeBackend: async () => backendOf(await openWasmEngine({ threads, instructions, worthSharing: 0 })),
    liveTensors: (backend) => (backend as CpuBackend).memory().tensors,
    share,
  }
  attentionSuite(suite)
  gradientSuite(suite)
  layerSuite(instructions === relaxed ? suite : { ...suite, share: share / 4 })
  propertySuite(suite)
  if (share < 1) return
  contractSuite(suite)
  onnxSuite(suite)
})
