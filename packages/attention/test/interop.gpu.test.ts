import { permute, slice, toFloat32, toFloat64 } from '@qkv/core'
import { attention } from '@qkv/attention'
import { fromOnnx, toGpuBuffer, toOnnx } from '@qkv/attention/interop/onnxruntime'
import { toTfjs, type Tfjs } from '@qkv/attention/interop/tfjs'
import { softwareGpu } from '@qkv/testing/software-gpu'
import { createWebGpuBackend, type WebGpuBackend } from '@qkv/webgpu'
import { Tensor } from 'onnxruntime-common'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { normal, valuesOf } from './claims/subject.ts'

vi.setConfig({ testTimeout: 60_000 })

describe('on one GPU device', () => {
  let backend: WebGpuBackend
  beforeAll(async () => {
    backend = await createWebGpuBackend({ gpu: softwareGpu() })
  })
  afterAll(() => backend.dispose())

  const q = normal('on the GPU', [1, 2, 5, 4])

  function bufferOf(data: Float32Array): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC
    const buffer = backend.device.createBuffer({ size: data.byteLength, usage, mappedAtCreation: true })
    new Float32Array(buffer.getMappedRange()).set(data)
    buffer.unmap()
    return buffer
  }

  it('attends over ONNX Runtime’s buffers, and hands back one of its tensors', async () => {
    const buffer = bufferOf(toFloat32(q))
    const theirs = Tensor.fromGpuBuffer(buffer, { dataType: 'float32', dims: q.shape })
    const ours = fromOnnx(theirs, backend)
    const { output } = await attention(ours, ours, ours, { backend, causal: true })
    const result = await toOnnx(output, { Tensor, backend })
    expect([result.location, result.dims]).toEqual(['gpu-buffer', q.shape])
    expect(result.gpuBuffer).toBe(backend.toBuffer(output).buffer)
    const expected = await attention(q, q, q, { backend, causal: true })
    const subject = { backend, platform: 'wgsl' } as const
    expect(await valuesOf(subject, fromOnnx(result, backend))).toEqual(await valuesOf(subject, expected.output))
    expected.output.dispose()
    result.dispose()
    output.dispose()
    buffer.destroy()
  })

  it('copies a view that skips elements, which leaves with ONNX Runtime’s tensor', async () => {
    using uploaded = backend.upload(q)
    const result = await toOnnx(slice(uploaded, 2, 1, 3), { Tensor, backend })
    expect(result.gpuBuffer).not.toBe(backend.toBuffer(uploaded).buffer)
    const subject = { backend, platform: 'wgsl' } as const
    expect(await valuesOf(subject, fromOnnx(result, backend))).toEqual(toFloat64(slice(q, 2, 1, 3)))
    result.dispose()
  })

  it('lends TensorFlow.js the buffer that a tensor lies in', async () => {
    using uploaded = backend.upload(q)
    const tf = tensorFlow(backend.device)
    const theirs = await toTfjs(uploaded, { tf, backend })
    expect([theirs.buffer, theirs.shape]).toEqual([backend.toBuffer(uploaded).buffer, q.shape])
    expect(tf.lent!.destroyed).toBe(false)
  })

  it('has TensorFlow.js copy what is a copy, of a view that skips elements, and destroys its own', async () => {
    using uploaded = backend.upload(q)
    const tf = tensorFlow(backend.device)
    const theirs = await toTfjs(permute(slice(uploaded, 2, 1, 3), [0, 2, 1, 3]), { tf, backend })
    expect(tf.lent!.buffer).not.toBe(backend.toBuffer(uploaded).buffer)
    expect(theirs.buffer).not.toBe(tf.lent!.buffer)
    expect(tf.lent!.destroyed).toBe(true)
    expect(theirs.shape).toEqual([1, 2, 2, 4])
    const subject = { backend, platform: 'wgsl' } as const
    expect(await valuesOf(subject, backend.fromBuffer(theirs.buffer, theirs.shape))).toEqual(
      toFloat64(permute(slice(q, 2, 1, 3), [0, 2, 1, 3])),
    )
    theirs.buffer.destroy()
  })

  it('copies into a caller’s own buffer, which must be large enough', async () => {
    using uploaded = backend.upload(q)
    const buffer = await toGpuBuffer(backend, uploaded)
    expect(await valuesOf({ backend, platform: 'wgsl' }, backend.fromBuffer(buffer, q.shape))).toEqual(
      Float64Array.from(toFloat32(q)),
    )
    const small = backend.device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE })
    await expect(toGpuBuffer(backend, uploaded, small)).rejects.toThrow(
      'toGpuBuffer: buffer must be of 160 bytes or more; received one of 16',
    )
    for (const made of [buffer, small]) made.destroy()
  })
})

/** What a tensor of TensorFlow.js lies in. */
interface OnTheirSide {
  readonly buffer: GPUBuffer
  readonly shape: readonly number[]
}

/**
 * As TensorFlow.js makes tensors from buffers, whose GPU backend runs in browsers only: with `zeroCopy` it uses a buffer as it is, without
 * it a copy, handed to the device before `tensor()` returns.
 */
function tensorFlow(device: GPUDevice): Tfjs<OnTheirSide> & { lent?: { readonly buffer: GPUBuffer; destroyed: boolean } } {
  return {
    tensor(values, shape = []) {
      const { buffer, zeroCopy } = values as { buffer: GPUBuffer; zeroCopy: boolean }
      const lent = { buffer, destroyed: false }
      const destroy = buffer.destroy.bind(buffer)
      buffer.destroy = () => {
        lent.destroyed = true
        return destroy()
      }
      this.lent = lent
      if (zeroCopy) return { buffer, shape }
      const copy = device.createBuffer({ size: buffer.size, usage: buffer.usage })
      const encoder = device.createCommandEncoder()
      encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size)
      device.queue.submit([encoder.finish()])
      return { buffer: copy, shape }
    },
  }
}
