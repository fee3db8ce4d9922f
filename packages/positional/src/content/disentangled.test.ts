import { describe, expect, test } from 'vitest'
import { disentangledBuckets } from './disentangled.ts'

describe('buckets of DeBERTa v2 and v3 (position_buckets 256, max_relative_positions 512)', () => {
  const buckets = disentangledBuckets(256, 512)
  const bucketOf = (distance: number): number => buckets[distance + 512]!

  test('distances up to half the span have their own', () => {
    for (let distance = -128; distance <= 128; distance++) expect(bucketOf(distance)).toBe(distance)
  })

  test('both directions alike, never falling, up to the last bucket at the largest distance', () => {
    for (let distance = 1; distance <= 512; distance++) {
      expect(bucketOf(-distance)).toBe(-bucketOf(distance))
      expect(bucketOf(distance) - bucketOf(distance - 1)).toBeOneOf([0, 1])
    }
    expect([bucketOf(511), bucketOf(512)]).toEqual([255, 256])
  })

  test('then as the logarithm of the distance, rounded up', () => {
    for (let distance = 129; distance < 511; distance++) {
      const exact = 128 + (127 * Math.log(distance / 128)) / Math.log(511 / 128)
      // None of these is so near a whole number that float32 would decide.
      expect(Math.abs(exact - Math.round(exact))).toBeGreaterThan(1e-3)
      expect(bucketOf(distance)).toBe(Math.ceil(exact))
    }
  })

  test('needs distances beyond those that have a bucket of their own', () => {
    expect(() => disentangledBuckets(8, 5)).toThrow('disentangled: maxDistance must be a whole number above 5')
  })
})
