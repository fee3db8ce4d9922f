import { libraryConfig } from '../../tooling/tsup/library.ts'

export default libraryConfig([
  'src/index.ts',
  'src/auto.ts',
  'src/batches/index.ts',
  'src/cache/paged/index.ts',
  'src/latent-attention/index.ts',
  'src/multi-head-attention/from-pytorch.ts',
  'src/onnx-export/index.ts',
  'src/interop/onnxruntime.ts',
  'src/interop/tfjs.ts',
  'src/relative-values.ts',
  'src/training/index.ts',
])
