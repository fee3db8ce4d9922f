import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { onnxSuite } from '@qkv/testing/suites/onnx-suite'
import { afterAll, describe, expect } from 'vitest'
import { backendOf, type CpuBackend } from '../src/backend.ts'
import { openEngine, type CpuOptions } from '../src/open-engine.ts'
import { words } from '../src/threads/control.ts'
import { recordBytes } from '../src/wasm/instance.ts'
import { GuardedArena } from './guarded-arena.ts'

/** Every claim again where a stray access is seen: all memory that an operation uses is NaN between guards. */
describe.each<CpuOptions>([{ engine: 'javascript' }, { engine: 'wasm', threads: 1 }, { engine: 'wasm', threads: 2 }])(
  'in guarded memory, %o',
  (options) => {
    /** Constants of the kernels' module. All threads see them, so a kernel that kept anything there would race with the others. */
    const modules: { readonly before: Uint8Array; readonly now: () => Uint8Array }[] = []
    afterAll(() => modules.forEach(({ before, now }) => expect(Buffer.compare(now(), before)).toBe(0)))

    const suite = {
      makeBackend: async (): Promise<CpuBackend> => {
        const opened = await openEngine(options)
        const { memory, start } = opened
        if (options.engine === 'wasm') {
          const now = (): Uint8Array => new Uint8Array(memory.buffer, 0, start - recordBytes).subarray(4 * words.length)
          modules.push({ before: now().slice(), now })
        }
        return backendOf(opened, new GuardedArena(memory, start))
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
