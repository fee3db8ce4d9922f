import { afterAll, describe } from 'vitest'
import { nodeFields } from '../src/peers/node.ts'
import { everything, itAgrees } from './support/adapter.ts'

const common = ['full', 'causal', 'grouped', 'decode', 'grouped-decode', 'chunked', 'cross', 'idle-window']
const onnxRuntime = [...common, 'window', 'softcap', 'sinks', 'rotary', 'grouped-rotary', 'bias', 'linear', 'sequence']
const tensorflow = [...common, 'bias', 'training', 'linear']

/** What each peer has to be able to do. */
const able: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-web/wasm': onnxRuntime,
  'onnxruntime-node/cpu': onnxRuntime,
  'tensorflow.js/wasm': tensorflow,
  'tensorflow.js/cpu': tensorflow,
  'qkv/cpu': everything,
  'qkv/javascript': everything,
  'plain-loop': [...common, 'window', 'softcap', 'sinks', 'documents', 'alibi', 'bias'],
  'jax-js/wasm': ['full', 'causal', 'decode', 'cross', 'window', 'bias', 'training'],
}

const { subject, peers } = nodeFields.cpu

/** A run gives each peer a process of its own; here the `Worker` that one defines would reach the next, which takes it for a page's. */
const hadWorker = 'Worker' in globalThis

describe.each([subject, ...peers])('$id', (peer) => {
  afterAll(() => {
    if (!hadWorker) Reflect.deleteProperty(globalThis, 'Worker')
  })
  itAgrees(peer, able[peer.id] ?? [])
})
