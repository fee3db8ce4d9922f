import { libraryConfig } from '../../tooling/tsup/library.ts'

export default libraryConfig([
  'src/index.ts', 'src/auto.ts', 'src/onnx-export/index.ts', 'src/interop/onnxruntime.ts', 'src/interop/tfjs.ts',
])
