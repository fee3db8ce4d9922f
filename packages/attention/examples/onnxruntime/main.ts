import { attention, MultiHeadAttention } from '@qkv/attention'
import { fromOnnx, toOnnx } from '@qkv/attention/interop/onnxruntime'
import { exportAttentionLayer } from '@qkv/attention/onnx-export'
import { splitHeads, tensor } from '@qkv/core'
import { createWebGpuBackend } from '@qkv/webgpu'
import * as ort from 'onnxruntime-web/webgpu'
import { numbers, show } from '../show.ts'

/**
 * ONNX Runtime computes a layer, QKV attends over what it made and ONNX Runtime goes on from there, all on one GPU device:
 * tensors go back and forth without leaving it. Beside it, the same with QKV alone.
 */
const own = await createWebGpuBackend()
const layer = new MultiHeadAttention({ backend: own, modelDim: 32, heads: 4, seed: 3 })
const model = await exportAttentionLayer(layer)
const session = await ort.InferenceSession.create(model, {
  executionProviders: ['webgpu'],
  preferredOutputLocation: 'gpu-buffer',
  logSeverityLevel: 3,
})
const input = numbers(10 * 32)
const feeds = { input: new ort.Tensor('float32', input, [1, 10, 32]) }

const backend = await createWebGpuBackend({ device: await ort.env.webgpu.device })
const first = (await session.run(feeds))['output']!
const heads = splitHeads(fromOnnx(first, backend), 4)
const attended = await attention(heads, heads, heads, { backend })
const joined = { ...attended.output, shape: [1, 10, 32], strides: [320, 32, 1] } // heads lie beside one another, as they came
const second = (await session.run({ input: await toOnnx(joined, { Tensor: ort.Tensor, backend }) }))['output']!

const alone = splitHeads(await layer.forward(tensor(input, [1, 10, 32])), 4)
const { output } = await attention(alone, alone, alone, { backend: own })
const expected = await layer.forward({ ...output, shape: [1, 10, 32], strides: [320, 32, 1] })
show(
  `ONNX Runtime and QKV, tensors at ${first.location}`,
  Float32Array.from(await backend.read(fromOnnx(second, backend))),
  Float32Array.from(await own.read(expected)),
  [fromOnnx(first, backend), fromOnnx(second, backend)],
)
