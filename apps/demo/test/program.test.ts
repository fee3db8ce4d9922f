import { expect, test, vi } from 'vitest'

test('the program that the page shows runs', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  await import('../src/program/program.ts')
  const [description, shape, output] = log.mock.calls[0] ?? []
  expect(description).toMatch(/CPU|WebGPU/)
  expect(shape).toEqual([1, 8, 1024, 64])
  expect(output).toHaveLength(8 * 1024 * 64)
  log.mockRestore()
})
