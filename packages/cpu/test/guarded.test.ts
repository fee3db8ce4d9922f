import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { onnxSuite } from '@qkv/testing/suites/onnx-suite'
import { describe } from 'vitest'
import { backendOf, type CpuBackend } from '../src/backend.ts'
import { openEngine, type CpuOptions } from '../src/open-engine.ts'
import { GuardedArena } from './guarded-arena.ts'

/** Every claim again where a stray access is seen: all memory that an operation uses is NaN between guards. */
describe.each<CpuOptions>([{ engine: 'javascript' }, { engine: 'wasm', threads: 1 }, { engine: 'wasm', threads: 2 }])(
  'in guarded memory, %o',
  (options) => {
    const suite = {
      makeBackend: async (): Promise<CpuBackend> => {
        const opened = await openEngine(options)
        return backendOf(opened, new GuardedArena(opened.memory, opened.start))
      },
      liveTensors: (backend: unknown) => (backend as CpuBackend).memory().tensors,
      share: 0.1,
    }
    contractSuite(suite)
    attentionSuite(suite)
    gradientSuite(suite)
    layerSuite(suite)
    onnxSuite(suite)
  },
)
