import { libraryConfig } from '../../tooling/tsup/library.ts'

export default libraryConfig([
  'src/index.ts',
  'src/block-map/index.ts',
  'src/estimate.ts',
  'src/expression/index.ts',
  'src/merge/index.ts',
  'src/reference/index.ts',
])
