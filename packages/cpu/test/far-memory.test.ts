import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { describe } from 'vitest'
import { backendOf, type CpuBackend } from '../src/backend.ts'
import { Arena } from '../src/memory/arena.ts'
import { openEngine } from '../src/open-engine.ts'

/** Addresses are whole numbers of 32 bits: those beyond 2 GiB are negative to whoever takes them for signed. */
describe('beyond 2 GiB of memory, WebAssembly', () => {
  const suite = {
    makeBackend: async (): Promise<CpuBackend> => {
      const opened = await openEngine({ engine: 'wasm', threads: 1 })
      return backendOf(opened, new Arena(opened.memory, 2 ** 31 + 2 ** 20))
    },
    share: 0.05,
  }
  attentionSuite(suite)
  gradientSuite(suite)
  layerSuite(suite)
})
