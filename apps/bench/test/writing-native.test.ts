import { describe } from 'vitest'
import { transformersNative } from '../src/peers/transformers-js.ts'
import { itWrites } from './support/writing.ts'

// In a file, and so a process, of its own: transformers.js takes one ONNX Runtime for good.
describe('a model that writes', () => itWrites(transformersNative))
