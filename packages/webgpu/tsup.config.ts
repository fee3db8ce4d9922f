import { compactWgsl } from '../../tooling/tsup/compact-wgsl.ts'
import { libraryConfig } from '../../tooling/tsup/library.ts'

export default libraryConfig(['src/index.ts', 'src/tune.ts'], [compactWgsl()])
