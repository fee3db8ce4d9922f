import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Backend } from '@qkv/core'
import { createCpuBackend } from '@qkv/cpu'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { modelSession } from '../src/engine/model-session.ts'

const models = sharedFolder('models/stories260k')

describe.skipIf(models === undefined)('a model whose files were taken', () => {
  const read = (name: string): ArrayBuffer => Uint8Array.from(readFileSync(join(models ?? '', name))).buffer
  let backend: Backend

  beforeAll(async () => void (backend = await createCpuBackend({ engine: 'javascript' })))
  afterAll(() => backend.dispose())

  async function sessionWithModel(): Promise<ReturnType<typeof modelSession>> {
    const session = modelSession(() => Promise.resolve(backend))
    await session.takeFile('tok512.bin', read('tok512.bin'))
    await session.takeFile('stories260K.bin', read('stories260K.bin'))
    return session
  }

  async function written(session: ReturnType<typeof modelSession>): Promise<string> {
    const texts: string[] = []
    const request = { prompt: '', steps: 5, temperature: 0, topP: 1, seed: 1, cache: true }
    await session.write(request, async (step) => void texts.push(...step.texts))
    return texts.join('')
  }

  /** Has no room for the third tensor. */
  function small(): Backend {
    let room = 2
    return new Proxy(backend, {
      get: (target, name) => {
        if (name === 'upload' && room-- === 0) throw new Error('no room')
        const member: unknown = Reflect.get(target, name)
        return typeof member === 'function' ? member.bind(target) : member
      },
    })
  }

  test('writes on where it was when another backend has no room for it', async () => {
    const session = await sessionWithModel()
    const before = await written(session)
    await expect(session.moveTo(small())).rejects.toThrow('no room')
    expect(await written(session)).toBe(before)
  })

  test('writes on when a file that follows cannot be read', async () => {
    const session = await sessionWithModel()
    const before = await written(session)
    await expect(session.takeFile('stories260K.bin', read('stories260K.bin').slice(0, 5000))).rejects.toThrow('bytes')
    expect(await written(session)).toBe(before)
  })
})
