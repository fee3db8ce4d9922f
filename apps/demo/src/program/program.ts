import { attention } from '@qkv/attention'
import { createBackend } from '@qkv/attention/auto'
import { tensor } from '@qkv/core'

const backend = await createBackend() // the GPU, else WebAssembly, else plain JavaScript
const shape = [1, 8, 1024, 64] // batch, heads, tokens, numbers in a vector
const drawn = () => tensor(Float32Array.from({ length: 8 * 1024 * 64 }, Math.random), shape)

const { output } = await attention(drawn(), drawn(), drawn(), { backend, causal: true })
console.log(backend.description, output.shape, await backend.read(output))
