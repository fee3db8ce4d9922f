import { once } from 'node:events'
import type { Worker } from 'node:worker_threads'
import { problem, tensor, type Backend } from '@qkv/core'
import { drawTokens, randomProblem } from '@qkv/testing'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { backendOf } from '../src/backend.ts'
import type { Thread } from '../src/spawn.ts'
import { words } from '../src/threads/control.ts'
import { openPool, type Kernels, type PoolOptions } from '../src/threads/pool.ts'
import { openWasmEngine } from '../src/wasm/open.ts'

describe('a thread that dies', () => {
  test('is an error with a code; the backend goes on with one thread, and says so', async () => {
    const threading = process.getBuiltinModule('node:worker_threads')
    const started: Worker[] = []
    const { Worker: Real } = threading
    threading.Worker = class extends Real {
      constructor(...given: ConstructorParameters<typeof Real>) {
        super(...given)
        started.push(this)
      }
    }
    using backend = backendOf(await openWasmEngine({ threads: 3, worthSharing: 0 }).finally(() => (threading.Worker = Real)))
    expect(backend.description).toMatch(/, 3 threads$/)
    const asked = problem(noise([1, 8, 100, 16]), noise([1, 8, 100, 16]), noise([1, 8, 100, 16]))
    const before = bits(await backend.read(backend.attention(asked).output))
    const [victim] = started
    const ended = once(victim!, 'exit')
    await victim!.terminate()
    await ended
    expect(() => backend.attention(asked)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED' }))
    expect(bits(await backend.read(backend.attention(asked).output))).toEqual(before)
    expect(backend.description).toMatch(/, one thread$/)
  })
})

describe('any number of threads', { timeout: 120_000 }, () => {
  let backends: readonly Backend[] = []
  beforeAll(async () => {
    backends = await Promise.all([1, 2, 3].map(async (threads) => backendOf(await openWasmEngine({ threads, worthSharing: 0 }))))
  })
  afterAll(() => backends.forEach((backend) => backend.dispose()))

  /** Asks every backend the same and expects the same bits. */
  async function expectSameBits(name: string, ask: (backend: Backend) => Promise<readonly unknown[]>): Promise<void> {
    const [one, ...others] = await Promise.all(backends.map(ask))
    for (const other of others) expect(other, name).toEqual(one)
  }

  test('gives attention and all of its gradient the same bits', async () => {
    for (const token of drawTokens({ count: 24, seed: 5, limits: { work: 2 ** 16, including: ['dropout'] } })) {
      const { problem, dOutput } = randomProblem(token)
      await expectSameBits(token, async (backend) => {
        const { output, lse } = backend.attention(problem, { lse: true })
        const gradient = backend.attentionGradient(problem, { output, lse: lse! }, dOutput)
        const { dQuery, dKey, dValue, dBias, dSinks, captured } = gradient
        const results = [output, lse, dQuery, dKey, dValue, dBias, dSinks, ...captured.values()]
        return Promise.all(results.map(async (result) => result && bits(await backend.read(result))))
      })
    }
  })

  test('gives decoding over many keys the same bits', async () => {
    const asked = problem(noise([2, 8, 1, 64]), noise([2, 2, 1500, 64]), noise([2, 2, 1500, 64]), { causal: true })
    await expectSameBits('decode', async (backend) => [bits(await backend.read(backend.attention(asked).output))])
  })

  test('gives linear layers the same bits', async () => {
    for (const rows of [1, 5, 200]) {
      const [input, weight, bias] = [noise([rows, 300]), noise([270, 300]), noise([270])]
      await expectSameBits(`${rows} rows`, async (backend) => [bits(await backend.read(backend.linear(input, weight, bias)))])
    }
  })
})

describe('a pool', () => {
  test('that does not start in time is refused, and its threads are ended', async () => {
    const { thread, terminate } = fakeThread()
    await expect(openPool({ ...poolOptions(), startDeadline: 20, spawn: () => thread })).rejects.toMatchObject({
      code: 'WORKER_FAILED',
    })
    expect(terminate).toHaveBeenCalled()
  })

  test('whose threads end while starting is refused', async () => {
    const { thread, end } = fakeThread()
    const opening = openPool({ ...poolOptions(), spawn: () => thread })
    end(new Error('no such file'))
    await expect(opening).rejects.toMatchObject({ code: 'WORKER_FAILED', cause: { message: 'no such file' } })
  })

  test('that loses a thread says so once, then goes on without', async () => {
    const { thread, ready, end } = fakeThread()
    const done: number[] = []
    const opening = openPool({ ...poolOptions({ note: { run: (_, unit) => done.push(unit) } }), spawn: () => thread })
    ready()
    const pool = await opening
    expect(pool.threads).toBe(2)
    end(new Error('killed'))
    expect(() => pool.run(task('note'), 0, 3)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED' }))
    pool.run(task('note'), 0, 3)
    expect(done).toEqual([0, 1, 2])
    expect(pool.threads).toBe(1)
  })

  test('does not wait for a unit that never ends', async () => {
    const { thread, ready } = fakeThread()
    const options = poolOptions({
      takeAnother: { run: () => Atomics.sub(new Int32Array(options.memory.buffer), words.left, 1) },
    })
    const opening = openPool({ ...options, patience: 20, spawn: () => thread })
    ready()
    const pool = await opening
    expect(() => pool.run(task('takeAnother'), 0, 2)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED' }))
  })

  test('passes on that a unit failed in a thread', async () => {
    const { thread, ready } = fakeThread()
    const options = poolOptions({
      mark: { run: () => Atomics.store(new Int32Array(options.memory.buffer), words.failed, 1) },
    })
    const opening = openPool({ ...options, spawn: () => thread })
    ready()
    const pool = await opening
    expect(() => pool.run(task('mark'), 0, 2)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED' }))
  })

  test('waits for all units before it passes on that one of its own failed', async () => {
    const { thread, ready } = fakeThread()
    const trap = new Error('out of bounds')
    const done: number[] = []
    const runsBadly = (_: number, unit: number): void => {
      if (unit === 0) throw trap
      done.push(unit)
    }
    const opening = openPool({ ...poolOptions({ runsBadly: { run: runsBadly } }), spawn: () => thread })
    ready()
    const pool = await opening
    expect(() => pool.run(task('runsBadly'), 0, 3)).toThrow(expect.objectContaining({ code: 'WORKER_FAILED', cause: trap }))
    expect(done).toEqual([1, 2])
    pool.run(task('runsBadly'), 1, 3)
    expect(done).toEqual([1, 2, 1, 2])
  })
})

function fakeThread() {
  let ready = (): void => {}
  let end = (_cause: unknown): void => {}
  const terminate = vi.fn()
  const thread: Thread = {
    post() {},
    onReady: (listener) => void (ready = listener),
    onEnd: (listener) => void (end = listener),
    terminate,
  }
  return { thread, terminate, ready: () => ready(), end: (cause: unknown) => end(cause) }
}

function poolOptions(kernels: Kernels = {}): PoolOptions {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const module = new WebAssembly.Module(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))
  return { memory, module, kernels, threads: 2 }
}

function task(kernel: string) {
  return { kernel, record: 0, scratch: 0, scratchBytes: 0, work: Infinity }
}

function noise(shape: readonly number[]) {
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(
    Float32Array.from({ length: count }, (_, index) => Math.sin(index * 12.9898) * 2),
    shape,
  )
}

function bits({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength).slice()
}
