import { encoder, problem, zeros, type Dtype, type HostTensor } from '@qkv/core'
import { reference } from '@qkv/core/reference'
import { expectWithinBound, random } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { backendOf } from '../src/backend.ts'
import { alignment, Arena, margin } from '../src/memory/arena.ts'
import { openWasmEngine } from '../src/wasm/open.ts'

/** Behind a block between guards there is memory that may be looked at; behind the last there is none. */
describe.each<Dtype>(['float32', 'float16', 'bfloat16', 'int8'])('keys and values in %s at the end of memory', (dtype) => {
  test.each([1, 4, 7, 12, 20, 36, 64])('are attended to, %i elements each', async (headDim) => {
    for (const keyLength of [7, 8, 33]) {
      const query = drawn('query', [1, 1, 1, headDim], 'float32')
      const key = drawn('key', [1, 1, keyLength, headDim], dtype)
      const value = drawn('value', [1, 1, keyLength, headDim], dtype)
      const scale = drawn('scale', [1, 1, keyLength, 1], 'float32')
      const scales = dtype === 'int8' ? { keyScales: scale, valueScales: scale } : {}
      const { output: values, bound } = reference(problem(query, key, value, scales))
      for (const last of [key, value]) {
        const opened = await openWasmEngine({ threads: 1 })
        using backend = backendOf(opened, new LastFirstArena(opened.memory, opened.start))
        const held = backend.upload(last)
        const asked = last === key ? problem(query, held, value, scales) : problem(query, key, held, scales)
        const { output } = backend.attention(asked)
        const name = `output with the ${last === key ? 'keys' : 'values'} last`
        expectWithinBound(await backend.read(output), { values, bound }, { name, shape: output.shape, token: `${keyLength} keys` })
      }
    }
  })
})

/** Puts the first block where nothing but the margin follows, and all others before it. */
class LastFirstArena extends Arena {
  #placed = false

  override allocate(operation: string, bytes: number): number {
    if (this.#placed) return super.allocate(operation, bytes)
    this.#placed = true
    const size = Math.ceil(bytes / alignment) * alignment
    const room = super.allocate(operation, roomBytes)
    const end = this.memory.buffer.byteLength - margin
    super.allocate(operation, end - size - (room + roomBytes))
    const address = super.allocate(operation, bytes)
    super.free(room, roomBytes)
    expect(address + size).toBe(end)
    return address
  }
}

const roomBytes = 1 << 18

function drawn(name: string, shape: readonly number[], dtype: Dtype): HostTensor {
  const { normal } = random(1, name)
  const encode = encoder(dtype)
  const made = zeros(shape, dtype)
  made.storage.forEach((_, index) => (made.storage[index] = encode(dtype === 'int8' ? 30 * normal() : normal())))
  return made
}
