import { describe } from 'vitest'
import { nodeFields } from '../src/peers/node.ts'
import { onnxRuntimeNodeWebGpu } from '../src/peers/onnxruntime-node.ts'
import { everything, itAgrees } from './support/adapter.ts'

const { subject } = nodeFields.gpu

/**
 * Building a session takes seconds on a software adapter: a few cases of different operators. Of more than 32 queries ONNX Runtime 1.30
 * is wrong on adapters whose subgroups have 4 or 8 lanes, as software's have; a report says so, and does not time it.
 */
const few = ['cross', 'decode', 'grouped-decode', 'linear']

describe(subject.id, () => {
  itAgrees(subject, everything)
})

describe(onnxRuntimeNodeWebGpu.id, () => {
  itAgrees(onnxRuntimeNodeWebGpu, few, few)
})
