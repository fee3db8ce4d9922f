import { attention } from '@qkv/attention'
import { tensor } from '@qkv/core'
import { createWebGpuBackend } from '@qkv/webgpu'
import { numbers, show } from '../show.ts'

/** A shader of one's own makes the queries, attention runs on the same device, and the result is a buffer again. */
const adapter = await navigator.gpu.requestAdapter()
if (!adapter) throw new Error('no WebGPU adapter')
const device = await adapter.requestDevice()
const backend = await createWebGpuBackend({ device })
const shape = [1, 4, 16, 32]
const input = numbers(4 * 16 * 32)

const buffer = device.createBuffer({
  size: input.byteLength,
  usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
})
device.queue.writeBuffer(buffer, 0, input)
doubleInPlace(buffer)

const query = backend.fromBuffer(buffer, shape) // no copy
const key = tensor(input, shape)
const { output } = await attention(query, key, key, { backend, causal: true })
const result = backend.toBuffer(output) // no copy either: for the next shader
await backend.flush() // what is submitted from here on sees it

const expected = await attention(
  tensor(
    input.map((element) => 2 * element),
    shape,
  ),
  key,
  key,
  { backend, causal: true },
)
show(
  'attention between two buffers',
  await read(result.buffer, result.offset, result.size),
  Float32Array.from(await backend.read(expected.output)),
  [query, output],
)

function doubleInPlace(target: GPUBuffer): void {
  const code = `@group(0) @binding(0) var<storage, read_write> x: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { x[id.x] = 2 * x[id.x]; }`
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module: device.createShaderModule({ code }) } })
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: target } }],
  })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group)
  pass.dispatchWorkgroups(input.length / 64)
  pass.end()
  device.queue.submit([encoder.finish()])
}

async function read(source: GPUBuffer, offset: number, size: number): Promise<Float32Array> {
  const staging = device.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST })
  const encoder = device.createCommandEncoder()
  encoder.copyBufferToBuffer(source, offset, staging, 0, size)
  device.queue.submit([encoder.finish()])
  await staging.mapAsync(GPUMapMode.READ)
  return new Float32Array(staging.getMappedRange().slice(0))
}
