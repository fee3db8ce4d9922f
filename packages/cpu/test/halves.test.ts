import { bfloat16ToFloat32, float16ToFloat32, problem, tensor, zeros, type Backend } from '@qkv/core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createCpuBackend } from '../src/backend.ts'

/** One key a sequence: attention gives its value back, having read it from halves and stored it as halves. */
describe.each([
  ['float16', float16ToFloat32],
  ['bfloat16', bfloat16ToFloat32],
] as const)('every %s', (dtype, toFloat32) => {
  let backend: Backend
  beforeAll(async () => {
    backend = await createCpuBackend({ engine: 'wasm', threads: 1 })
  })
  afterAll(() => backend.dispose())

  test.each([
    ['decoding', 1],
    ['prefilling', 9],
  ])('comes through %s as it is', async (_, rows) => {
    const values = tensor(
      Uint16Array.from({ length: 65_536 }, (_, bits) => bits),
      [256, 1, 1, 256],
      { dtype },
    )
    const query = zeros([256, 1, rows, 8], dtype)
    const { output } = backend.attention(problem(query, zeros([256, 1, 1, 8], dtype), values))
    const received = await backend.read(output)
    output.dispose()
    const wrong = Array.from(received).flatMap((bits, index) => {
      const sent = Math.floor(index / (rows * 256)) * 256 + (index % 256)
      return sameNumber(toFloat32(Number(bits)), toFloat32(sent)) ? [] : [sent]
    })
    expect(wrong).toEqual([])
  })
})

function sameNumber(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b))
}
