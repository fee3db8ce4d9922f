import { tensor, zeros } from '@qkv/core'
import { alibi, alibiSlopes, fire, gridBias, kerple, sandwich, temperature } from '@qkv/positional'
import { cope, decomposedGrid, shaw, transformerXl } from '@qkv/positional/content'
import { describe, expect, test } from 'vitest'

const whole = (size: number) => zeros([size], 'int32')
const layers = { weight1: zeros([4]), bias1: zeros([4]), weight2: zeros([2, 4]), bias2: zeros([2]) }
const xl = { contentBias: zeros([2, 4]), positionBias: zeros([2, 4]), projection: zeros([2, 4, 6]) }
const grid = { height: 2, width: 3, rows: zeros([3, 8]), columns: zeros([5, 8]) }
const narrow = { rows: zeros([3, 4]), columns: zeros([5, 4]) }
const [query, key] = [zeros([1, 2, 3, 8]), zeros([1, 2, 3, 8])]

describe('what a score encoding cannot take is refused by name', () => {
  test.each<[operation: string, argument: string, build: () => unknown]>([
    ['alibi', 'heads', () => alibi({ heads: 0 })],
    ['alibi', 'heads', () => alibiSlopes(1.5)],
    ['alibi', 'maximum', () => alibi({ heads: 2, maximum: -8 })],
    ['kerple', 'r1', () => kerple({ r1: zeros([2, 1]), r2: zeros([2]) })],
    ['kerple', 'r2', () => kerple({ r1: zeros([2]), r2: zeros([3]) })],
    ['kerple', 'r1', () => kerple({ r1: whole(2), r2: zeros([2]) })],
    ['kerple', 'kernel', () => kerple({ r1: zeros([2]), r2: zeros([2]), kernel: 'linear' as 'power' })],
    ['fire', 'weight1', () => fire({ ...layers, weight1: zeros([33]), bias1: zeros([33]), weight2: zeros([2, 33]) })],
    ['fire', 'bias1', () => fire({ ...layers, bias1: zeros([5]) })],
    ['fire', 'weight2', () => fire({ ...layers, weight2: zeros([4, 2]) })],
    ['fire', 'bias2', () => fire({ ...layers, bias2: zeros([4]) })],
    ['gridBias', 'height', () => gridBias({ height: 0, width: 2, table: zeros([3, 2]) })],
    ['gridBias', 'width', () => gridBias({ height: 2, width: 1.5, table: zeros([6, 2]) })],
    ['gridBias', 'table', () => gridBias({ height: 2, width: 2, table: zeros([8, 2]) })],
    ['gridBias', 'table', () => gridBias({ height: 2, width: 2, table: zeros([9, 2]), classToken: true })],
    ['gridBias', 'table', () => gridBias({ height: 2, width: 2, table: zeros([12, 2]) })],
    ['decomposedGrid', 'height', () => decomposedGrid({ ...grid, height: 0 })],
    ['decomposedGrid', 'width', () => decomposedGrid({ ...grid, width: 1.5 })],
    ['decomposedGrid', 'rows', () => decomposedGrid({ ...grid, rows: zeros([5, 8]) })],
    ['decomposedGrid', 'rows', () => decomposedGrid({ ...grid, rows: zeros([3, 8], 'int32') })],
    ['decomposedGrid', 'columns', () => decomposedGrid({ ...grid, columns: zeros([3, 8]) })],
    ['decomposedGrid', 'columns', () => decomposedGrid({ ...grid, columns: zeros([5, 4]) })],
    ['decomposedGrid', 'query', () => decomposedGrid({ ...grid, ...narrow }).terms({ query, key, scale: 1 })],
    ['sandwich', 'heads', () => sandwich({ heads: 0, length: 8 })],
    ['sandwich', 'length', () => sandwich({ heads: 2, length: NaN })],
    ['sandwich', 'dim', () => sandwich({ heads: 2, length: 8, dim: 7 })],
    ['temperature', 'floor', () => temperature({ floor: 0 })],
    ['temperature', 'offset', () => temperature({ offset: -1 })],
    ['temperature', 'beta', () => temperature({ beta: Infinity })],
    ['shaw', 'table', () => shaw({ table: zeros([4, 8]) })],
    ['shaw', 'query', () => shaw({ table: zeros([5, 4]) }).terms({ query, key, scale: 1 })],
    ['shaw', 'key', () => shaw({ table: zeros([5, 8]) }).terms({ query, key: zeros([1, 2, 3, 4]), scale: 1 })],
    ['cope', 'key', () => cope({ table: zeros([5, 8]) }).terms({ query, key: zeros([1, 4, 3, 8]), scale: 1 })],
    ['cope', 'table', () => cope({ table: tensor([1], [1]) })],
    ['cope', 'query', () => cope({ table: zeros([5, 4]) }).terms({ query, key, scale: 1 })],
    ['transformerXl', 'positionBias', () => transformerXl({ ...xl, positionBias: zeros([4, 2]) })],
    ['transformerXl', 'projection', () => transformerXl({ ...xl, projection: zeros([2, 4, 5]) })],
    ['transformerXl', 'base', () => transformerXl({ ...xl, base: -1 })],
    ['transformerXl', 'query', () => transformerXl(xl).terms({ query, key, scale: 1 })],
  ])('%s: %s', (operation, argument, build) => {
    expect(build).toThrow(expect.objectContaining({ name: 'QkvError', operation, argument }))
  })
})
