import { tensor } from '@qkv/core'

document.title = String(tensor(new Float32Array(6), [2, 3]).shape)
