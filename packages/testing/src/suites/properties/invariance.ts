import { tensor, type HostTensor } from '@qkv/core'
import { expect } from 'vitest'
import { takeAttention } from '../suite.ts'
import type { Claims } from './claims.ts'
import { likeTensor, onHost } from './problem-parts.ts'

/** What must not matter does not, to the bit. */
export function invarianceClaims({ backend, forRandomProblems }: Claims): void {
  forRandomProblems('other queries, heads and batch entries do not matter, to the bit', {}, async ({ problem, token, stream }) => {
    const { batch, queryHeads, queryLength, valueDim } = problem
    if (batch * queryHeads * queryLength < 2) return
    const kept = stream.integer(0, batch * queryHeads * queryLength - 1)
    const noise = onHost(problem.query).map((element, index) =>
      Math.floor(index / problem.headDim) === kept ? element : element + 1,
    )
    const before = await takeAttention(backend(), problem)
    const after = await takeAttention(backend(), { ...problem, query: likeTensor(problem.query, noise) })
    expect(after.lse[kept], token).toBe(before.lse[kept])
    expect(after.output.slice(kept * valueDim, (kept + 1) * valueDim), token).toEqual(
      before.output.slice(kept * valueDim, (kept + 1) * valueDim),
    )
  })

  forRandomProblems(
    'keys that nobody sees do not matter, whatever they hold, to the bit',
    { without: ['poison', 'quantised'] },
    async ({ problem, token, stream }) => {
      const { batch, keyLength, keyHeads } = problem
      const lengths = Int32Array.from({ length: batch }, () => stream.integer(0, keyLength))
      const limited = { ...problem, lengths: tensor(lengths, [batch]) }
      const hidden =
        (dim: number) =>
        (element: number, index: number): number => {
          const vector = Math.floor(index / dim)
          return vector % keyLength >= lengths[Math.floor(vector / keyLength / keyHeads)]!
            ? stream.pick([NaN, Infinity, 1e30])
            : element
        }
      const poisoned = {
        ...limited,
        key: likeTensor(problem.key, onHost(problem.key).map(hidden(problem.headDim))),
        value: likeTensor(problem.value, onHost(problem.value).map(hidden(problem.valueDim))),
      }
      expect(await takeAttention(backend(), poisoned), token).toEqual(await takeAttention(backend(), limited))
    },
  )

  forRandomProblems('how the operands lie in memory does not matter, to the bit', {}, async ({ problem, token }) => {
    const packed = { ...problem }
    for (const name of ['query', 'key', 'value', 'bias', 'mask'] as const) {
      const view = problem[name]
      if (view !== undefined) Object.assign(packed, { [name]: likeTensor(view, onHost(view)) })
    }
    expect(await takeAttention(backend(), packed), token).toEqual(await takeAttention(backend(), problem))
  })

  forRandomProblems(
    'tensors that live on the backend count as those over typed arrays, to the bit',
    {},
    async ({ problem, token }) => {
      const uploaded = Object.entries(problem)
        .filter(([, part]) => isTensorPart(part))
        .map(([name, view]) => [name, backend().upload(view as HostTensor)] as const)
      const resident = { ...problem, ...Object.fromEntries(uploaded) }
      const [there, here] = [await takeAttention(backend(), resident), await takeAttention(backend(), problem)]
      for (const [, view] of uploaded) view.dispose()
      expect(there, token).toEqual(here)
    },
  )

  forRandomProblems('what memory held before does not matter, to the bit', {}, async ({ problem, token }) => {
    const before = await takeAttention(backend(), problem)
    backend()
      .upload(tensor(new Float32Array(50_000).fill(NaN), [50_000]))
      .dispose()
    expect(await takeAttention(backend(), problem), token).toEqual(before)
  })

  forRandomProblems(
    'the same call gives the same bits',
    {},
    async ({ problem, token }) => {
      const first = await takeAttention(backend(), problem)
      for (let again = 0; again < 5; again++) expect(await takeAttention(backend(), problem), token).toEqual(first)
    },
    20,
  )

  forRandomProblems(
    'values of twice the size give outputs of twice the size, to the bit',
    { dtypes: ['float32', 'bfloat16'], without: ['quantised'] },
    async ({ problem, token }) => {
      const large = {
        ...problem,
        value: likeTensor(
          problem.value,
          onHost(problem.value).map((element) => 1024 * element),
        ),
      }
      const before = await takeAttention(backend(), problem)
      const after = await takeAttention(backend(), large)
      expect(after.lse, token).toEqual(before.lse)
      // What is subnormal on the way has been rounded already.
      after.output.forEach((value, index) => {
        const expected = 1024 * before.output[index]!
        if (Math.abs(expected) > 1e-30 && !Object.is(value, expected)) expect.fail(`${value} instead of ${expected}\n${token}`)
      })
    },
  )

  forRandomProblems(
    'queries of twice the size at half the scale change nothing, to the bit',
    { dtypes: ['float32', 'bfloat16'] },
    async ({ problem, token }) => {
      const same = {
        ...problem,
        query: likeTensor(
          problem.query,
          onHost(problem.query).map((element) => 4 * element),
        ),
        scale: problem.scale / 4,
      }
      expect(await takeAttention(backend(), same), token).toEqual(await takeAttention(backend(), problem))
    },
  )
}

function isTensorPart(part: unknown): boolean {
  return typeof part === 'object' && part !== null && 'storage' in part
}
