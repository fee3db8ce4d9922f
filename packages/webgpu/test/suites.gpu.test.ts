import { attentionSuite } from '@qkv/testing/suites/attention-suite'
import { contractSuite } from '@qkv/testing/suites/contract-suite'
import { gradientSuite } from '@qkv/testing/suites/gradient-suite'
import { onnxSuite } from '@qkv/testing/suites/onnx-suite'
import { propertySuite } from '@qkv/testing/suites/property-suite'
import type { Suite } from '@qkv/testing/suites/suite'
import { testBackend } from './support/backend.ts'

/** What every backend promises, on the software adapter, where each problem's kernels have to be compiled first. */
const suite: Suite = { makeBackend: () => testBackend(), platform: 'wgsl' }

contractSuite(suite)
propertySuite({ ...suite, share: 0.05 })
onnxSuite(suite)
attentionSuite({ ...suite, share: 0.02 })
gradientSuite({ ...suite, share: 0.01 })
