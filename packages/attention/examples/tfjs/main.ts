import { attention } from '@qkv/attention'
import { fromTfjs, toTfjs } from '@qkv/attention/interop/tfjs'
import { permute } from '@qkv/core'
import { createWebGpuBackend } from '@qkv/webgpu'
import type * as TensorFlow from '@tensorflow/tfjs-core'
import type { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu'
import { numbers, show } from '../show.ts'

declare const tf: typeof TensorFlow

/** TensorFlow.js makes queries and keys, QKV attends, TensorFlow.js goes on: on one GPU device, over the same buffers. */
tf.env().set('WEBGPU_CPU_FORWARD', false) // small tensors too
await tf.setBackend('webgpu')
await tf.ready()
const { device } = tf.backend() as WebGPUBackend
const backend = await createWebGpuBackend({ device })

const x = tf.tensor(numbers(2 * 8 * 16), [1, 2, 8, 16])
const query = tf.mul(x, tf.scalar(2))
const [q, k] = [await fromTfjs(query, backend), await fromTfjs(x, backend)]
const { output } = await attention(q.tensor, k.tensor, k.tensor, { backend })
const attended = await toTfjs(output, { tf, backend }) // no copy
const byLength = await toTfjs(permute(output, [0, 2, 1, 3]), { tf, backend }) // copied, for its elements lie in another order
const twice = tf.add(attended, tf.transpose(byLength, [0, 2, 1, 3]))
const result = await tf.add(twice, x).data() // the residual, by TensorFlow.js

const scores = tf.mul(tf.matMul(query, x, false, true), tf.scalar(1 / 4))
const expected = await tf.add(tf.mul(tf.matMul(tf.softmax(scores), x), tf.scalar(2)), x).data()
show('TensorFlow.js and QKV', result, expected, [q.tensor])
