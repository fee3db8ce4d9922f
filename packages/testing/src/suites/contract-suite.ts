import {
  dtypes,
  problem,
  QkvError,
  roundTo,
  slice,
  tensor,
  toFloat64,
  zeros,
  type AttentionProblem,
  type HostTensor,
  type OwnedTensor,
  type QkvErrorCode,
  type Tensor,
} from '@qkv/core'
import { describe, expect, test } from 'vitest'
import { guarded, layouts } from '../guarded.ts'
import { random } from '../random.ts'
import { heldBackend, take, takeResult, type Suite } from './suite.ts'

/** What every backend promises besides numbers: who owns what, what is refused and how, and what a refusal leaves behind. */
export function contractSuite(suite: Suite): void {
  describe('contract', { timeout: 120_000 }, () => {
    const backend = heldBackend(suite)
    const live = (): number | undefined => suite.liveTensors?.(backend())

    function expectRefusal(code: QkvErrorCode, argument: string, call: () => unknown): void {
      const before = live()
      const error = caught(call)
      expect(QkvError.is(error), String(error)).toBe(true)
      expect({ code: (error as QkvError).code, argument: (error as QkvError).argument }).toEqual({ code, argument })
      expect(live(), 'a refusal leaves no tensor behind').toBe(before)
    }

    describe('memory', () => {
      test('what is uploaded is read back, whatever its dtype and layout', async () => {
        for (const dtype of dtypes) {
          for (const layout of layouts) {
            const stream = random(1, `${dtype} ${layout}`)
            const { tensor } = guarded(
              Float64Array.from({ length: 210 }, () => 3 * stream.normal()),
              [2, 3, 5, 7],
              dtype,
              layout,
              stream,
            )
            expect(await take(backend(), backend().upload(tensor)), `${dtype} ${layout}`).toEqual(toFloat64(tensor))
            expect(toFloat64({ ...zeros([210], dtype), storage: await backend().read(tensor) }), `${dtype} ${layout}`).toEqual(
              toFloat64(tensor),
            )
          }
        }
      })

      test('an empty tensor is zero, also where another was before', async () => {
        backend()
          .upload(tensor(new Float32Array(1000).fill(NaN), [1000]))
          .dispose()
        expect(await take(backend(), backend().empty([10, 100]))).toEqual(new Float64Array(1000))
        for (const dtype of dtypes) expect(await take(backend(), backend().empty([3, 5], dtype))).toEqual(new Float64Array(15))
      })

      test('tensors without elements are tensors', async () => {
        expect(await take(backend(), backend().empty([0, 4]))).toEqual(new Float64Array(0))
        expect(await take(backend(), backend().upload(zeros([3, 0])))).toEqual(new Float64Array(0))
      })

      test('what is read is a copy', async () => {
        const held = backend().upload(tensor([1, 2, 3], [3]))
        const read = await backend().read(held)
        read.fill(7)
        expect(await take(backend(), held)).toEqual(Float64Array.from([1, 2, 3]))
      })

      test('disposing twice is disposing once', () => {
        const before = live()
        const first = backend().empty([8])
        first.dispose()
        const second = backend().empty([8])
        first.dispose()
        first[Symbol.dispose]()
        expect(live()).toBe(before === undefined ? undefined : before + 1)
        second.dispose()
        expect(live()).toBe(before)
      })

      test('shapes and dtypes that are none are refused', async () => {
        expectRefusal('SHAPE_MISMATCH', 'shape', () => backend().empty([2, -1]))
        expectRefusal('SHAPE_MISMATCH', 'shape', () => backend().empty([1.5]))
        expectRefusal('DTYPE_UNSUPPORTED', 'dtype', () => backend().empty([2], 'float64' as 'float32'))
        expectRefusal('SHAPE_MISMATCH', 'tensor', () => backend().upload({ ...zeros([2]), shape: [5] }))
        await expectRejection('SHAPE_MISMATCH', 'tensor', backend().read({ ...zeros([2]), shape: [5] }))
      })
    })

    describe('attention', () => {
      test('the output has the query’s dtype and its order of axes in memory; lse is float32', async () => {
        for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
          const query = { ...zeros([2, 3, 5, 4], dtype), strides: [60, 4, 12, 1] }
          const { output, lse } = backend().attention(problem(query, zeros([2, 3, 6, 4]), zeros([2, 3, 6, 8])), { lse: true })
          expect([output.dtype, ...output.shape]).toEqual([dtype, 2, 3, 5, 8])
          expect(output.strides).toEqual([120, 8, 24, 1])
          expect([lse?.dtype, ...(lse?.shape ?? [])]).toEqual(['float32', 2, 3, 5])
          output.dispose()
          lse?.dispose()
        }
      })

      test('lse comes only when it was asked for', () => {
        const { output, lse } = backend().attention(smallProblem())
        expect(lse).toBeUndefined()
        output.dispose()
      })

      test('tensors that were disposed of are refused, by name', () => {
        const gone = backend().upload(normal([1, 2, 5, 4]))
        gone.dispose()
        for (const name of ['query', 'key', 'value'] as const) {
          expectRefusal('DISPOSED', name, () => backend().attention({ ...smallProblem(), [name]: gone }))
        }
      })
    })

    describe('attention in steps', () => {
      test('gives the bits that attention gives, and progress that ends at 1', async () => {
        const asked = problem(normal([1, 3, 200, 16]), normal([1, 3, 300, 16]), normal([1, 3, 300, 16]), { causal: true })
        const progress: number[] = []
        const stepped = await backend().attentionInSteps(asked, { lse: true, onProgress: (fraction) => progress.push(fraction) })
        expect(await takeResult(backend(), stepped)).toEqual(await takeResult(backend(), backend().attention(asked, { lse: true })))
        expect(progress.at(-1)).toBe(1)
        expect(progress).toEqual(progress.toSorted((a, b) => a - b))
      })

      test('an aborted signal stops it before and during, and nothing is left behind', async () => {
        const before = live()
        const asked = problem(normal([1, 8, 400, 32]), normal([1, 8, 1600, 32]), normal([1, 8, 1600, 32]))
        await expectRejection('ABORTED', 'signal', backend().attentionInSteps(asked, { signal: AbortSignal.abort() }))
        const controller = new AbortController()
        const stopped = backend().attentionInSteps(asked, { signal: controller.signal, onProgress: () => controller.abort() })
        await expectRejection('ABORTED', 'signal', stopped)
        expect(live()).toBe(before)
      })

      test('an error thrown by onProgress comes back, and nothing is left behind', async () => {
        const before = live()
        const failing = backend().attentionInSteps(smallProblem(), {
          onProgress: () => {
            throw new Error('mine')
          },
        })
        await expect(failing).rejects.toThrow('mine')
        expect(live()).toBe(before)
      })
    })

    describe('gradient', () => {
      test('shapes that do not fit the problem are refused', () => {
        const { output, lse } = backend().attention(smallProblem(), { lse: true })
        const forward = { output, lse: lse! }
        expectRefusal('SHAPE_MISMATCH', 'dOutput', () => backend().attentionGradient(smallProblem(), forward, zeros([1, 2, 3, 3])))
        expectRefusal('SHAPE_MISMATCH', 'forward.lse', () =>
          backend().attentionGradient(smallProblem(), { ...forward, lse: zeros([1, 2, 4]) }, zeros([1, 2, 3, 4])),
        )
        output.dispose()
        lse?.dispose()
      })
    })

    describe('merge', () => {
      test('no parts, and parts of different shapes, are refused', () => {
        const part = (rows: number) => ({ output: zeros([1, 2, rows, 4]), lse: zeros([1, 2, rows]) })
        expectRefusal('OPTION_INVALID', 'partials', () => backend().merge([]))
        expect(codeOf(() => backend().merge([part(3), part(4)]))).toBe('SHAPE_MISMATCH')
      })
    })

    describe('layer operations', () => {
      const f = (...shape: number[]): HostTensor => zeros(shape)

      test('shapes that do not fit are refused', () => {
        expectRefusal('SHAPE_MISMATCH', 'input', () => backend().linear(f(2, 3), f(4, 5)))
        expectRefusal('SHAPE_MISMATCH', 'weight', () => backend().linear(f(2, 3), f(3)))
        expectRefusal('SHAPE_MISMATCH', 'bias', () => backend().linear(f(2, 3), f(4, 3), f(3)))
        expectRefusal('SHAPE_MISMATCH', 'weight', () => backend().rmsNorm(f(2, 3), f(4), 1e-5))
        expectRefusal('SHAPE_MISMATCH', 'bias', () => backend().layerNorm(f(2, 3), f(3), f(1), 1e-5))
        expectRefusal('SHAPE_MISMATCH', 'right', () => backend().add(f(2, 3), f(2)))
        expectRefusal('SHAPE_MISMATCH', 'right', () => backend().multiply(f(3), f(2, 3)))
        expectRefusal('SHAPE_MISMATCH', 'table', () => backend().gather(f(3), tensor(Int32Array.of(0), [1])))
        expectRefusal('SHAPE_MISMATCH', 'input', () =>
          backend().rotate(f(2, 3, 4), { cos: f(3, 2), sin: f(3, 2), layout: 'half', dim: 4 }),
        )
        expectRefusal('SHAPE_MISMATCH', 'input', () =>
          backend().rotate(f(1, 2, 3, 4), { cos: f(3, 3), sin: f(3, 3), layout: 'half', dim: 6 }),
        )
        expectRefusal('SHAPE_MISMATCH', 'table.sin', () =>
          backend().rotate(f(1, 2, 3, 4), { cos: f(3, 2), sin: f(3, 1, 1), layout: 'half', dim: 4 }),
        )
      })

      test('dtypes that do not fit are refused', () => {
        const whole = zeros([3], 'int32')
        expectRefusal('DTYPE_UNSUPPORTED', 'input', () => backend().activate(whole, 'silu'))
        expectRefusal('DTYPE_UNSUPPORTED', 'weight', () => backend().rmsNorm(f(2, 3), whole, 1e-5))
        expectRefusal('DTYPE_UNSUPPORTED', 'left', () => backend().add(whole, f(3)))
        expectRefusal('DTYPE_UNSUPPORTED', 'indices', () => backend().gather(f(3, 3), f(3)))
      })

      test('what is no tensor, activation, epsilon or layout is refused', () => {
        expectRefusal('OPTION_INVALID', 'input', () => backend().activate([1, 2] as unknown as Tensor, 'relu'))
        expectRefusal('OPTION_INVALID', 'activation', () => backend().activate(f(3), 'swish' as 'silu'))
        expectRefusal('OPTION_INVALID', 'epsilon', () => backend().rmsNorm(f(2, 3), f(3), NaN))
        expectRefusal('OPTION_INVALID', 'table.layout', () =>
          backend().rotate(f(1, 2, 3, 4), { cos: f(3, 2), sin: f(3, 2), layout: 'quarter' as 'half', dim: 4 }),
        )
      })

      test('copy wants equal shapes, and a target that is its own', () => {
        const target = backend().empty([3])
        expectRefusal('SHAPE_MISMATCH', 'source', () => backend().copy(f(4), target))
        expectRefusal('OPTION_INVALID', 'target', () => backend().copy(f(4), f(4)))
        target.dispose()
        expectRefusal('DISPOSED', 'target', () => backend().copy(f(3), target))
      })

      test('quantize wants floats, whole numbers of its own to write, and equal groups', () => {
        const [bytes, nibbles, scales] = [
          backend().empty([2, 12], 'int8'),
          backend().empty([2, 6], 'uint8'),
          backend().empty([2, 4]),
        ]
        const refuse = (code: QkvErrorCode, argument: string, ...operands: [Tensor, Tensor, Tensor]): void =>
          expectRefusal(code, argument, () => backend().quantize(...operands))
        refuse('DTYPE_UNSUPPORTED', 'source', zeros([2, 12], 'int8'), bytes, scales)
        refuse('DTYPE_UNSUPPORTED', 'target', f(2, 12), scales, scales)
        refuse('DTYPE_UNSUPPORTED', 'scales', f(2, 12), bytes, bytes)
        refuse('SHAPE_MISMATCH', 'target', f(2, 10), bytes, scales)
        refuse('SHAPE_MISMATCH', 'target', f(2, 6), nibbles, scales)
        refuse('SHAPE_MISMATCH', 'scales', f(2, 12), nibbles, scales)
        refuse('SHAPE_MISMATCH', 'scales', f(2, 12), bytes, slice(scales, 0, 0, 1))
        refuse('OPTION_INVALID', 'target', f(2, 12), zeros([2, 12], 'int8'), scales)
        refuse('OPTION_INVALID', 'scales', f(2, 12), bytes, f(2, 4))
        for (const tensor of [bytes, nibbles, scales]) tensor.dispose()
      })
    })

    describe('two backends', () => {
      test('do not take each other’s tensors', async () => {
        const other = await suite.makeBackend()
        const theirs = other.upload(zeros([1, 2, 5, 4]))
        expectRefusal('OPTION_INVALID', 'key', () => backend().attention({ ...smallProblem(), key: theirs }))
        expectRefusal('OPTION_INVALID', 'input', () => backend().activate(theirs, 'relu'))
        theirs.dispose()
        other.dispose()
      })
    })

    describe('after dispose', () => {
      test('every call throws DISPOSED, tensors can still be given back, and disposing again does nothing', async () => {
        const gone = await suite.makeBackend()
        const held = gone.empty([4])
        const { output, lse } = gone.attention(smallProblem(), { lse: true })
        gone.dispose()
        gone.dispose()
        gone[Symbol.dispose]()
        const f = zeros([1, 2, 4, 4])
        for (const call of [
          () => gone.attention(smallProblem()),
          () => gone.attentionGradient(smallProblem(), { output, lse: lse! }, f),
          () => gone.merge([{ output, lse: lse! }]),
          () => gone.linear(f, zeros([4, 4])),
          () => gone.rmsNorm(f, zeros([4]), 1e-5),
          () => gone.layerNorm(f, zeros([4]), undefined, 1e-5),
          () => gone.activate(f, 'relu'),
          () => gone.add(f, f),
          () => gone.multiply(f, f),
          () => gone.gather(zeros([4, 4]), zeros([2], 'int32')),
          () => gone.copy(zeros([4]), held),
          () => gone.quantize(f, held, held),
          () => gone.rotate(f, { cos: zeros([4, 2]), sin: zeros([4, 2]), layout: 'half', dim: 4 }),
          () => gone.empty([3]),
          () => gone.upload(f),
        ]) {
          expect(codeOf(call), String(call)).toBe('DISPOSED')
        }
        await expectRejection('DISPOSED', 'backend', gone.read(held))
        await expectRejection('DISPOSED', 'backend', gone.attentionInSteps(smallProblem(), {}))
        for (const tensor of [held, output, lse!]) tensor.dispose()
      })
    })

    test('a description says in one line what it runs on', () => {
      expect(backend().description).toMatch(/^\S.*\S$/)
      expect(backend().name).toMatch(/^[a-z]+$/)
    })
  })
}

function smallProblem(): AttentionProblem {
  return problem(normal([1, 2, 3, 4]), normal([1, 2, 5, 4]), normal([1, 2, 5, 4]))
}

function normal(shape: readonly number[]): HostTensor {
  const stream = random(shape.length, shape.join())
  const count = shape.reduce((product, size) => product * size, 1)
  return tensor(
    roundTo(
      Float64Array.from({ length: count }, () => stream.normal()),
      'float32',
    ),
    shape,
  )
}

function caught(call: () => unknown): unknown {
  try {
    disposeAny(call())
  } catch (error) {
    return error
  }
  return undefined
}

/** Gives back what a call that should have failed has made. */
function disposeAny(result: unknown): void {
  const owned = result as Partial<OwnedTensor> | undefined
  owned?.dispose?.()
}

function codeOf(call: () => unknown): QkvErrorCode | undefined {
  const error = caught(call)
  return QkvError.is(error) ? error.code : undefined
}

async function expectRejection(code: QkvErrorCode, argument: string, promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(QkvError.is(error), String(error)).toBe(true)
  expect({ code: (error as QkvError).code, argument: (error as QkvError).argument }).toEqual({ code, argument })
}
