import '@tensorflow/tfjs-backend-cpu'
import { slice, tensor, type HostTensor, type Tensor as QkvTensor } from '@qkv/core'
import { attention } from '@qkv/attention'
import { fromOnnx, toOnnx } from '@qkv/attention/interop/onnxruntime'
import { fromTfjs, toTfjs } from '@qkv/attention/interop/tfjs'
import { createCpuBackend } from '@qkv/cpu'
import * as tf from '@tensorflow/tfjs-core'
import { Tensor } from 'onnxruntime-common'
import { describe, expect, it } from 'vitest'
import { normal, valuesOf } from './claims/subject.ts'

const shape = [1, 2, 5, 4]
const q = normal('interop', shape)

describe('with ONNX Runtime', () => {
  it('sees the same array, both ways', async () => {
    const data = Float32Array.from(q.storage)
    const ours = fromOnnx(new Tensor('float32', data, shape))
    expect([ours.storage === data, ours.shape, ours.dtype]).toEqual([true, shape, 'float32'])
    const theirs = await toOnnx(q, { Tensor })
    expect([theirs.data === q.storage || (theirs.data as Float32Array).buffer === q.storage.buffer, theirs.dims]).toEqual([
      true,
      shape,
    ])
  })

  it.each([
    ['float32', new Float32Array(4)],
    ['float16', new Uint16Array(4)],
    ['int8', new Int8Array(4)],
    ['uint8', new Uint8Array(4)],
    ['int32', new Int32Array(4)],
    ['bool', new Uint8Array(4)],
  ] as const)('keeps %s', async (dtype, data) => {
    const theirs = await toOnnx(tensor(data, [2, 2], { dtype }), { Tensor })
    expect(theirs.type).toBe(dtype)
    expect(fromOnnx(theirs).dtype).toBe(dtype)
  })

  it('attends from their tensors to theirs', async () => {
    using backend = await createCpuBackend()
    const theirs = new Tensor('float32', Float32Array.from(q.storage), shape)
    const { output } = await attention(fromOnnx(theirs), fromOnnx(theirs), fromOnnx(theirs), { backend })
    const result = await toOnnx(output, { Tensor, backend })
    expect(Float64Array.from(result.data as Float32Array)).toEqual(await valuesOf({ backend, platform: 'cpu' }, output))
    output.dispose()
  })

  it('refuses dtypes that one of both has not, and tensors it cannot reach', async () => {
    expect(() => fromOnnx(new Tensor('int64', new BigInt64Array(1), [1]))).toThrow(
      'fromOnnx: tensor must be float32, float16, int8, uint8, int32, bool; received int64',
    )
    await expect(toOnnx(tensor(new Uint16Array(1), [1], { dtype: 'bfloat16' }), { Tensor })).rejects.toThrow('received bfloat16')
    await expect(toOnnx(slice(q, 3, 0, 2), { Tensor })).rejects.toThrow('tensor must be contiguous')
    expect(() => fromOnnx({ type: 'float32', dims: [1], location: 'gpu-buffer', data: undefined, gpuBuffer: {} })).toThrow(
      'backend must be one on the tensor’s GPU device; received nothing',
    )
    using backend = await createCpuBackend()
    using owned = backend.upload(q)
    await expect(toOnnx(owned, { Tensor })).rejects.toThrow('backend must be the backend that the tensor lives on')
  })
})

describe('with TensorFlow.js', () => {
  it('attends from their tensors to theirs', async () => {
    using backend = await createCpuBackend()
    const theirs = tf.tensor(Float32Array.from(q.storage), shape as [number, number, number, number])
    using ours = await fromTfjs(theirs, backend)
    const { output } = await attention(ours.tensor, ours.tensor, ours.tensor, { backend, causal: true })
    const result = await toTfjs(output, { tf, backend })
    expect(result.shape).toEqual(shape)
    expect(Float64Array.from(await result.data())).toEqual(await valuesOf({ backend, platform: 'cpu' }, output))
    const scores = tf.mul(tf.matMul(theirs, theirs, false, true), 1 / 2)
    const earlier = tf.broadcastTo(tf.cast(tf.linalg.bandPart(tf.ones([5, 5]), -1, 0), 'bool'), [1, 2, 5, 5])
    const masked = tf.where(earlier, scores, tf.fill([1, 2, 5, 5], -1e30))
    const expected = await tf.matMul(tf.softmax(masked), theirs).data()
    ;(await result.data()).forEach((element, index) => expect(element).toBeCloseTo(expected[index]!, 5))
    output.dispose()
  })

  it('keeps int32 and bool, and refuses what it has not', async () => {
    for (const dtype of ['int32', 'bool'] as const) {
      const data = dtype === 'int32' ? Int32Array.of(1, 0, 2) : Uint8Array.of(1, 0, 1)
      const theirs = await toTfjs(tensor(data, [3], { dtype }), { tf })
      expect(theirs.dtype).toBe(dtype)
      using ours = await fromTfjs(theirs)
      expect(ours.tensor.dtype).toBe(dtype)
    }
    const half: HostTensor = tensor(new Uint16Array(1), [1], { dtype: 'float16' })
    await expect(toTfjs(half as QkvTensor, { tf })).rejects.toThrow('tensor must be float32, int32 or bool; received float16')
  })
})
