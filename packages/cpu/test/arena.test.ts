import { permute, tensor, toFloat64, broadcastTo, slice, type HostTensor } from '@qkv/core'
import { guarded, layouts, random } from '@qkv/testing'
import { describe, expect, test } from 'vitest'
import { alignment, Arena } from '../src/memory/arena.ts'
import { plainMemory, wasmMemory, type LinearMemory } from '../src/memory/linear-memory.ts'
import { Workspace, type Placed } from '../src/memory/workspace.ts'
import { GuardedArena } from './guarded-arena.ts'

const memories: readonly (readonly [string, () => LinearMemory])[] = [
  ['plain', plainMemory],
  ['WebAssembly', () => wasmMemory(false)],
  ['shared', () => wasmMemory(true)],
]

describe.each(memories)('an arena in %s memory', (_, makeMemory) => {
  test('hands out aligned blocks that never overlap, keep their contents, and leave nothing when all are given back', () => {
    const stream = random(1, 'blocks')
    const arena = new Arena(makeMemory(), 1000)
    const held: { address: number; bytes: number; mark: number }[] = []
    for (let step = 0; step < 3000; step++) {
      if (held.length > 0 && stream.chance(0.48)) {
        const [block] = held.splice(stream.integer(0, held.length - 1), 1)
        const contents = arena.view('uint8').subarray(block!.address, block!.address + block!.bytes)
        expect(contents.every((byte) => byte === block!.mark)).toBe(true)
        arena.free(block!.address, block!.bytes)
      } else {
        const bytes = stream.chance(0.1) ? stream.integer(0, 60_000) : stream.integer(0, 500)
        const address = arena.allocate('test', bytes)
        expect(address % alignment).toBe(0)
        expect(address).toBeGreaterThanOrEqual(1000)
        const mark = step % 256
        arena.view('uint8').fill(mark, address, address + bytes)
        held.push({ address, bytes, mark })
      }
    }
    expect(arena.report.blocks).toBe(held.length)
    for (const { address, bytes } of held) arena.free(address, bytes)
    expect(arena.report).toMatchObject({ used: 0, blocks: 0 })
    // What was given back is one piece again: it has room for all of it.
    const { reserved } = arena.report
    arena.allocate('test', reserved - 2048)
    expect(arena.report.reserved).toBe(reserved)
  })

  test('does not grow for blocks that come and go', () => {
    const arena = new Arena(makeMemory())
    arena.free(arena.allocate('test', 100_000), 100_000)
    const { reserved } = arena.report
    for (let round = 0; round < 10_000; round++) {
      const bytes = 1 + ((round * 7919) % 100_000)
      arena.free(arena.allocate('test', bytes), bytes)
    }
    expect(arena.report.reserved).toBe(reserved)
  })
})

describe('when memory does not grow', () => {
  const limited = (most: number): LinearMemory => {
    const memory = plainMemory()
    return {
      get buffer() {
        return memory.buffer
      },
      get growth() {
        return memory.growth
      },
      grow(byteLength) {
        if (byteLength > most) throw new RangeError('no more')
        memory.grow(byteLength)
      },
    }
  }

  test('allocation fails with OUT_OF_MEMORY and changes nothing', () => {
    const arena = new Arena(limited(1 << 20))
    const first = arena.allocate('test', 500_000)
    const before = arena.report
    expect(() => arena.allocate('attention', 600_000)).toThrow(
      expect.objectContaining({ code: 'OUT_OF_MEMORY', operation: 'attention' }),
    )
    expect(arena.report).toEqual(before)
    arena.free(first, 500_000)
    expect(() => arena.allocate('attention', 600_000)).not.toThrow()
  })

  test('all that there is can be had, though memory grows in larger steps', () => {
    const arena = new Arena(limited(1 << 20))
    arena.allocate('test', 1_000_000)
    expect(() => arena.allocate('test', 48_000)).not.toThrow()
  })
})

describe('a workspace', () => {
  const elementsAt = (arena: Arena, { dtype, shape, strides, address }: Placed): Float64Array => {
    const storage = arena.view(dtype)
    return toFloat64({ dtype, shape, strides, offset: address / storage.BYTES_PER_ELEMENT, storage })
  }

  test('places what lies over typed arrays, whatever its layout, once', () => {
    const arena = new GuardedArena(plainMemory())
    for (const layout of layouts) {
      for (const dtype of ['float32', 'float16', 'int8'] as const) {
        const stream = random(2, `${layout} ${dtype}`)
        const { tensor } = guarded(
          Float64Array.from({ length: 120 }, () => 9 * stream.normal()),
          [2, 3, 4, 5],
          dtype,
          layout,
          stream,
        )
        const space = new Workspace(arena).begin('test')
        const placed = space.place(tensor)
        expect(elementsAt(arena, placed)).toEqual(toFloat64(tensor))
        expect(space.place(tensor)).toBe(placed)
        space.release()
      }
    }
    expect(arena.report.blocks).toBe(0)
  })

  test('repeats what is repeated, and does not copy what lies far between', () => {
    const arena = new Arena(plainMemory())
    const space = new Workspace(arena).begin('test')
    const wide = tensor(
      Float32Array.from({ length: 100_000 }, (_, index) => index),
      [100, 1000],
    )
    for (const view of [
      broadcastTo(slice(wide, 0, 3, 4), [50, 1000]),
      permute(slice(wide, 1, 7, 8), [1, 0]),
    ] satisfies HostTensor[]) {
      const before = arena.report.used
      expect(elementsAt(arena, space.place(view))).toEqual(toFloat64(view))
      expect(arena.report.used - before).toBeLessThanOrEqual(4096)
    }
    space.release()
    expect(arena.report.used).toBe(0)
  })

  test('gives its scratch memory back when it is released, and again can be released', () => {
    const arena = new Arena(plainMemory())
    const space = new Workspace(arena).begin('test')
    space.scratch(100)
    space.scratch(200)
    space.release()
    space.release()
    expect(arena.report).toMatchObject({ used: 0, blocks: 0 })
  })
})

test.each([-1, 40])('a guarded arena sees a write at byte %i of a block of 40', (byte) => {
  const arena = new GuardedArena(plainMemory())
  const address = arena.allocate('test', 40)
  arena.view('uint8')[address + byte] = 1
  expect(() => arena.free(address, 40)).toThrow(/guard/)
})
