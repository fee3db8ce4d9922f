import { libraryConfig } from '../../tooling/tsup/library.ts'

export default libraryConfig(['src/index.ts', 'src/config/index.ts', 'src/content/index.ts'])
