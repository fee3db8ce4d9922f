import { problem, QkvError, slice, tensor, zeros, type AttentionResult, type OwnedTensor } from '@qkv/core'
import { failingGpu, type Fault } from '@qkv/testing/failing-gpu'
import { createWebGpuBackend, type WebGpuBackend } from '@qkv/webgpu'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const host = (...shape: number[]) => zeros(shape)
const question = () => problem(host(1, 2, 20, 8), host(1, 2, 30, 8), host(1, 2, 30, 8), { causal: true, sinks: [0, 1] })
const release = ({ output, lse }: AttentionResult): void => {
  output.dispose()
  lse?.dispose()
}

/** Public operations, each from its call to its result and back. */
const operations: Record<string, (backend: WebGpuBackend) => Promise<void>> = {
  async attention(backend) {
    const result = backend.attention(question(), { lse: true })
    try {
      await backend.read(result.output)
    } finally {
      release(result)
    }
  },
  async attentionInSteps(backend) {
    release(await backend.attentionInSteps(question(), { lse: true }))
  },
  async attentionGradient(backend) {
    const { output, lse } = backend.attention(question(), { lse: true })
    const { dQuery, dKey, dValue, dSinks } = backend.attentionGradient(question(), { output, lse: lse! }, host(1, 2, 20, 8))
    try {
      await backend.read(dKey)
    } finally {
      for (const part of [output, lse, dQuery, dKey, dValue, dSinks]) part?.dispose()
    }
  },
  async linear(backend) {
    const result = backend.linear(host(5, 8), host(3, 8))
    try {
      await backend.read(result)
    } finally {
      result.dispose()
    }
  },
  async upload(backend) {
    const held = backend.upload(tensor(new Float32Array(6), [2, 3], { strides: [1, 2] }))
    try {
      await backend.read(held)
    } finally {
      held.dispose()
    }
  },
}

/** What each fault may come out as; a call that has nothing to fail with goes well. */
const codes: Record<Fault, readonly string[]> = {
  'out-of-memory': ['OUT_OF_MEMORY', 'INTERNAL'],
  validation: ['INTERNAL', 'PIPELINE_FAILED'],
  lost: ['DEVICE_LOST'],
  rejects: ['INTERNAL', 'PIPELINE_FAILED'],
  hangs: ['TIMEOUT'],
}

const unhandled: unknown[] = []
const remember = (reason: unknown): void => void unhandled.push(reason)
beforeEach(() => void process.on('unhandledRejection', remember))
afterEach(() => {
  process.off('unhandledRejection', remember)
  expect(unhandled.splice(0)).toEqual([])
})

describe.each(Object.entries(operations))('%s', (_, operation) => {
  test.each(Object.keys(codes) as Fault[])(
    'one fault (%s) at any call: an error with a code, no memory held, and a new backend goes on',
    async (fault) => {
      const calls = await callsOf(operation)
      const outcomes: (string | undefined)[] = []
      for (let call = 0; call < calls; call++) {
        const gpu = failingGpu()
        const backend = await createWebGpuBackend({ device: gpu.device, patience: 15 })
        gpu.inject({ call, fault })
        outcomes.push(await codeOf(operation(backend)))
        expect(backend.memory.buffers, `call ${call}`).toBe(0)
        backend.dispose()
        expect(gpu.live.buffers, `call ${call}`).toBe(0)
      }
      for (const code of outcomes) expect([undefined, ...codes[fault]]).toContain(code)
      expect(
        outcomes.some((code) => code !== undefined),
        'some call failed',
      ).toBe(true)
      expect(await codeOf(operation(await createWebGpuBackend({ device: failingGpu().device })))).toBeUndefined()
    },
  )
})

describe('a buffer that there was no memory for is never used again', () => {
  /** A tensor whose buffer was refused, which is known once `tell` is called. */
  const refusal = async () => {
    const gpu = failingGpu()
    const { popErrorScope } = gpu.device
    let tell = (): void => undefined
    const told = new Promise<void>((resolve) => (tell = resolve))
    gpu.device.popErrorScope = async () => (await Promise.all([popErrorScope(), told]))[0]
    const backend = await createWebGpuBackend({ device: gpu.device })
    gpu.inject({ call: 0, fault: 'out-of-memory' })
    const refused = backend.upload(host(8, 8))
    return { backend, refused, buffer: backend.toBuffer(refused).buffer, tell }
  }
  const giveBack = async (backend: WebGpuBackend, held: OwnedTensor): Promise<void> => {
    held.dispose()
    backend.upload(host(100, 100)).dispose() // what is given back may be reused once later work was submitted
    await backend.flush()
  }
  const expectAnother = async (backend: WebGpuBackend, refused: GPUBuffer): Promise<void> => {
    using next = backend.upload(host(8, 8))
    expect(backend.toBuffer(next).buffer).not.toBe(refused)
    expect(await codeOf(backend.read(next))).toBeUndefined()
  }

  test('where that is known before it is given back', async () => {
    const { backend, refused, buffer, tell } = await refusal()
    tell()
    expect(await codeOf(backend.read(refused))).toBe('OUT_OF_MEMORY')
    await giveBack(backend, refused)
    await expectAnother(backend, buffer)
  })

  test('where that is known after it was given back', async () => {
    const { backend, refused, buffer, tell } = await refusal()
    await giveBack(backend, refused)
    const { idleBytes } = backend.memory
    tell()
    await new Promise((resolve) => setTimeout(resolve))
    expect(backend.memory.idleBytes).toBe(idleBytes - buffer.size)
    await expectAnother(backend, buffer)
  })

  test('where that is known after others got it, who are told', async () => {
    const { backend, refused, buffer, tell } = await refusal()
    await giveBack(backend, refused)
    const heir = backend.upload(host(8, 8))
    expect(backend.toBuffer(heir).buffer).toBe(buffer)
    tell()
    expect(await codeOf(backend.read(heir))).toBe('OUT_OF_MEMORY')
    await giveBack(backend, heir)
    await expectAnother(backend, buffer)
  })
})

test('what is refused half-way holds no memory', async () => {
  using backend = await createWebGpuBackend({ device: failingGpu().device })
  const [query, gone] = [host(1, 2, 20, 8), backend.upload(host(1, 2, 20, 8))]
  const forward = { output: query, lse: host(1, 2, 20) }
  const asked = problem(query, gone, gone)
  gone.dispose()
  for (const refused of [
    () => backend.attention(asked),
    () => backend.attentionGradient(problem(query, query, query), forward, gone),
    () => backend.merge([forward, { ...forward, output: gone }]),
    () => backend.upload({ ...host(4), offset: 2 }),
    () => backend.linear(query, gone),
    () => backend.rmsNorm(query, gone, 1e-5),
    () => backend.add(query, gone),
  ]) {
    expect(codeThrown(refused)).toMatch(/DISPOSED|SHAPE_MISMATCH/)
  }
  expect(await codeOf(backend.attentionInSteps(asked, {}))).toBe('DISPOSED')
  expect(backend.memory.buffers).toBe(0)
})

test('a tensor that reaches further than a device binds is refused by name, on either side; a part of it is not', async () => {
  const { device } = failingGpu()
  Object.defineProperty(device, 'limits', { value: { ...device.limits, maxStorageBufferBindingSize: 1024 } })
  using backend = await createWebGpuBackend({ device })
  const [here, there] = [host(64, 8), backend.upload(host(64, 8))]
  for (const table of [here, there]) {
    const refused = expect.objectContaining({ code: 'LIMIT_EXCEEDED', argument: 'table' }) as Error
    expect(() => backend.gather(table, zeros([1], 'int32'))).toThrow(refused)
    backend.gather(slice(table, 0, 32, 48), zeros([1], 'int32')).dispose()
  }
})

test('a lost device is told once to who listens, and every later call throws DEVICE_LOST', async () => {
  const gpu = failingGpu()
  const backend = await createWebGpuBackend({ device: gpu.device })
  const heard: string[] = []
  backend.onLost((error) => heard.push(error.code))
  gpu.inject({ call: 0, fault: 'lost' })
  expect(await codeOf(operations['attention']!(backend))).toBe('DEVICE_LOST')
  expect(heard).toEqual(['DEVICE_LOST'])
  expect(codeThrown(() => backend.attention(question()))).toBe('DEVICE_LOST')
})

test('an abort ends the wait of a read', async () => {
  const gpu = failingGpu()
  const backend = await createWebGpuBackend({ device: gpu.device, patience: 60_000 })
  const { output } = backend.attention(question())
  const controller = new AbortController()
  gpu.inject({ call: 0, fault: 'hangs' })
  setTimeout(() => controller.abort(), 5)
  const fault = Promise.race([
    backend.read(output, { signal: controller.signal }),
    new Promise((resolve) => setTimeout(resolve, 2000)),
  ])
  expect([undefined, 'ABORTED']).toContain(await codeOf(fault))
})

test('an abort ends the wait of a flush', async () => {
  using backend = await createWebGpuBackend({ device: failingGpu().device })
  backend.attention(question())
  expect(await codeOf(backend.flush({ signal: AbortSignal.abort() }))).toBe('ABORTED')
  expect(await codeOf(backend.flush())).toBeUndefined()
})

test('a borrowed device is not destroyed, and everything made on it is', async () => {
  const gpu = failingGpu()
  let destroyed = false
  gpu.device.destroy = () => void (destroyed = true)
  const backend = await createWebGpuBackend({ device: gpu.device })
  await operations['attentionGradient']!(backend)
  backend.dispose()
  backend.dispose()
  expect(destroyed).toBe(false)
  expect(gpu.live.buffers).toBe(0)
  expect(codeThrown(() => backend.attention(question()))).toBe('DISPOSED')
})

test('work is split where a device takes no more groups or a submission would last too long', async () => {
  const gpu = failingGpu()
  const groups: number[] = []
  let submissions = 0
  const { queue, createCommandEncoder } = gpu.device
  queue.submit = () => void submissions++
  gpu.device.createCommandEncoder = () => {
    const encoder = createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.dispatchWorkgroups = (x) => void groups.push(x)
    return encoder
  }
  const backend = await createWebGpuBackend({
    device: gpu.device,
    profile: { software: true, invocations: 256, workPerSubmission: 2 ** 22 },
  })
  const { output } = backend.attention(problem(host(1, 1, 2048, 8), host(1, 1, 2048, 8), host(1, 1, 2048, 8)))
  await backend.flush()
  expect(groups.reduce((sum, x) => sum + x, 0)).toBe(2048 / 64)
  expect(submissions).toBeGreaterThan(10)
  output.dispose()
})

/** How many calls into a device an operation makes when all goes well. */
async function callsOf(operation: (backend: WebGpuBackend) => Promise<void>): Promise<number> {
  const gpu = failingGpu()
  const backend = await createWebGpuBackend({ device: gpu.device })
  gpu.inject(undefined)
  await operation(backend)
  return gpu.calls.length
}

async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise
    return undefined
  } catch (error) {
    return QkvError.is(error) ? error.code : `not a QkvError: ${String(error)}`
  }
}

function codeThrown(call: () => unknown): string | undefined {
  try {
    call()
    return undefined
  } catch (error) {
    return QkvError.is(error) ? error.code : `not a QkvError: ${String(error)}`
  }
}
