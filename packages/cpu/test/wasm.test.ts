import { setFlagsFromString } from 'node:v8'
import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { propertySuite } from '@qkv/testing/suites/property-suite'
import { describe } from 'vitest'
import { backendOf, type CpuBackend } from '../src/backend.ts'
import { openWasmEngine } from '../src/wasm/open.ts'
import type { Instructions } from '../src/wasm/module.ts'

// Node has had relaxed SIMD since version 21, Node 20 behind a flag.
setFlagsFromString('--experimental-wasm-relaxed-simd')

const engines: readonly (readonly [Instructions, number])[] = [['SIMD', 1], ['relaxed SIMD', 1], ['SIMD', 2], ['relaxed SIMD', 3]]

describe.each(engines)('WebAssembly, %s, %i threads', (instructions, threads) => {
  const suite = {
    makeBackend: async (): Promise<CpuBackend> => backendOf(await openWasmEngine({ threads, instructions })),
    liveTensors: (backend: unknown) => (backend as CpuBackend).memory().tensors,
  }
  contractSuite(suite)
  attentionSuite(suite)
  propertySuite(suite)
  gradientSuite(suite)
  layerSuite(suite)
})
