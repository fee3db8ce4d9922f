import { describe } from 'vitest'
import { attentionClaims } from './attention.ts'
import { batchedCacheClaims } from './batched-cache.ts'
import { batchClaims } from './batches.ts'
import { cacheClaims } from './caches.ts'
import { embeddingClaims } from './embeddings.ts'
import { gradientClaims } from './gradient.ts'
import { latentClaims } from './latent.ts'
import { multiHeadClaims } from './multi-head.ts'
import { onnxClaims } from './onnx-vectors.ts'
import { positionClaims } from './positions.ts'
import { propertyClaims } from './properties.ts'
import { trainingClaims } from './training.ts'
import { relativeValueClaims } from './relative-values.ts'
import type { Subject } from './subject.ts'

/** All that this package claims of any backend. */
export function attentionPackageClaims(subject: () => Subject): void {
  describe('attention', () => attentionClaims(subject))
  describe('whatever the problem, attention', () => propertyClaims(subject))
  describe('positions', () => positionClaims(subject))
  describe('relative values', () => relativeValueClaims(subject))
  onnxClaims(subject)
  describe('gradients', () => gradientClaims(subject))
  describe('packed and cascaded batches', () => batchClaims(subject))
  describe('a batched cache', () => batchedCacheClaims(subject))
  describe('MultiHeadAttention', () => multiHeadClaims(subject))
  describe('embeddings in a layer', () => embeddingClaims(subject))
  describe('training', () => trainingClaims(subject))
  describe('LatentAttention', () => latentClaims(subject))
  describe('caches', () => cacheClaims(subject))
}
