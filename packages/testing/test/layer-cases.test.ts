import { casesOf } from '@qkv/testing/suites/layers/case'
import { afterEach, describe, expect, it, vi } from 'vitest'

describe('the cases of a layer’s claim', () => {
  afterEach(() => {
    vi.unstubAllEnvs()
  })

  it('are as many as are asked for, of as many kinds', () => {
    const cases = casesOf({ share: 0.5, kinds: 3 }, 'add adds', 14)
    expect(cases.map(({ number, kind }) => [number, kind])).toEqual([0, 1, 2, 3, 4, 5, 6].map((number) => [number, number % 3]))
  })

  it('are each told by a token that replays it alone, also where fewer cases of other kinds are run', () => {
    const [, , , , , fifth] = casesOf({ kinds: 2 }, 'add adds', 6)
    vi.stubEnv('QKV_TOKEN', fifth!.token)
    expect(casesOf({ share: 0.1, kinds: 8 }, 'add adds', 6)).toEqual([fifth])
    expect(casesOf({}, 'multiply multiplies', 6)).toHaveLength(6)
  })

  it('are none for a token that names no case', () => {
    vi.stubEnv('QKV_TOKEN', 'add adds, case 3')
    expect(() => casesOf({}, 'add adds', 6)).toThrow(/not a case/)
  })
})
