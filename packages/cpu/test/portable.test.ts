import { createCpuBackend, type CpuBackend } from '@qkv/cpu'
import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { layerSuite } from '@qkv/testing/suites/layer-suite'
import { onnxSuite } from '@qkv/testing/suites/onnx-suite'
import { propertySuite } from '@qkv/testing/suites/property-suite'
import type { Suite } from '@qkv/testing/suites/suite'
import { describe } from 'vitest'

describe('portable JavaScript', () => {
  const suite: Suite = {
    makeBackend: () => createCpuBackend({ engine: 'javascript' }),
    liveTensors: (backend) => (backend as CpuBackend).memory().tensors,
  }
  contractSuite(suite)
  attentionSuite(suite)
  propertySuite(suite)
  gradientSuite(suite)
  layerSuite({ ...suite, share: 0.25 })
  onnxSuite(suite)
})
