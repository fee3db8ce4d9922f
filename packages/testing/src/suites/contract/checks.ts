import {
  problem,
  QkvError,
  roundTo,
  tensor,
  type AttentionProblem,
  type Backend,
  type HostTensor,
  type OwnedTensor,
  type QkvErrorCode,
} from '@qkv/core'
import { expect } from 'vitest'
import { random } from '../../random.ts'
import { heldBackend, type Suite } from '../suite.ts'

/** What the claims of one suite work with. */
export interface ContractChecks {
  /** The one that all claims share. */
  readonly backend: () => Backend
  /** Another, which is the claim's own to dispose of. */
  readonly makeBackend: () => Promise<Backend>
  /** How many tensors the backend holds; undefined where it does not count them. */
  readonly live: () => number | undefined
  /** Asks that `call` is refused by the name of the argument, and leaves no tensor behind. */
  readonly expectRefusal: (code: QkvErrorCode, argument: string | RegExp, call: () => unknown) => void
}

export function makeChecks(suite: Suite): ContractChecks {
  const backend = heldBackend(suite)
  const live = (): number | undefined => suite.liveTensors?.(backend())
  return {
    backend,
    live,
    makeBackend: async () => suite.makeBackend(),
    expectRefusal(code, argument, call) {
      const before = live()
      expectRefused(caught(call), code, argument)
      expect(live(), 'a refusal leaves no tensor behind').toBe(before)
    },
  }
}

export async function expectRejection(code: QkvErrorCode, argument: string | RegExp, promise: Promise<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expectRefused(error, code, argument)
}

function expectRefused(error: unknown, code: QkvErrorCode, argument: string | RegExp): void {
  expect(QkvError.is(error), String(error)).toBe(true)
  const named = typeof argument === 'string' ? argument : expect.stringMatching(argument)
  expect(error).toMatchObject({ code, argument: named })
}

export function codeOf(call: () => unknown): QkvErrorCode | undefined {
  const error = caught(call)
  return QkvError.is(error) ? error.code : undefined
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

export function smallProblem(): AttentionProblem {
  return problem(normal([1, 2, 3, 4]), normal([1, 2, 5, 4]), normal([1, 2, 5, 4]))
}

export function normal(shape: readonly number[]): HostTensor {
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
