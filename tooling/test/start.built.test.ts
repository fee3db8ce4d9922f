import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { expect, test } from 'vitest'
import { repository } from '../checks/workspace.ts'

/** `npm start` as far as its output says that `until` holds. */
async function started(args: readonly string[], until: RegExp): Promise<string> {
  const child = spawn('node', ['tooling/start.mjs', ...args], { cwd: repository })
  let output = ''
  const said = new Promise<void>((resolve) => {
    child.stdout.on('data', (chunk) => {
      output += String(chunk)
      if (until.test(output)) resolve()
    })
  })
  await Promise.race([said, once(child, 'exit')])
  child.kill()
  return output
}

test('npm start says of every backend whether it is right, or why it is not here', async () => {
  const output = await started(['--check'], /webgpu .*\n/)
  expect(output).toMatch(/cpu +right, [\d.]+ ms, error 0\.\d+ of its bound: CPU/)
  expect(output).toMatch(/webgpu +(right, .* of its bound: WebGPU|not here: .*no )/)
})

test('then it serves the demo with shared memory allowed, on another port where its own is taken', async () => {
  const taken = createServer().listen(4173, 'localhost')
  const output = await started([], /The demo: .*\n/)
  taken.close()
  expect(output).toMatch(/The demo: http:\/\/localhost:(?!4173)\d+\//)
})
