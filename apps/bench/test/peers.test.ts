import { afterAll, describe, expect, it } from 'vitest'
import { browserFields } from '../src/peers/browser.ts'
import { peersOf } from '../src/peers/field.ts'
import { nodeFields } from '../src/peers/node.ts'
import { outsidePages } from '../src/peers/outside-pages.ts'
import { Unavailable } from '../src/peers/peer.ts'
import { everything, itAgrees } from './support/adapter.ts'

const common = ['full', 'causal', 'grouped', 'decode', 'grouped-decode', 'chunked', 'cross', 'idle-window', 'paged']
const onnxRuntime = [
  ...common,
  'window',
  'softcap',
  'sinks',
  'rotary',
  'grouped-rotary',
  'bias',
  't5',
  'sliding',
  'linear',
  'sequence',
]
const tensorflow = [...common, 'bias', 't5', 'training', 'linear']

/** What each peer has to be able to do. */
const able: Readonly<Record<string, readonly string[]>> = {
  'onnxruntime-web/wasm': onnxRuntime,
  'onnxruntime-node/cpu': onnxRuntime,
  'tensorflow.js/wasm': tensorflow,
  'tensorflow.js/cpu': tensorflow,
  'qkv/cpu': everything,
  'qkv/javascript': everything,
  'plain-loop': [...common, 'window', 'softcap', 'sinks', 'documents', 'alibi', 'bias', 't5', 'sliding'],
  'jax-js/wasm': ['full', 'causal', 'decode', 'cross', 'window', 'bias', 't5', 'training'],
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

describe('whoever cannot run', () => {
  it('in pages is there all the same, under the name it has in Node, and the other way round', () => {
    // One thread beside several says what threads are worth; pages choose threads themselves.
    const names = (all: typeof nodeFields) =>
      peersOf(all).flatMap(({ id, title }) => (id === 'qkv/one-thread' ? [] : [[id, title]]))
    expect(names(browserFields).toSorted()).toEqual(names(nodeFields).toSorted())
  })

  it.each([...Object.values(outsidePages).flat(), ...nodeFields.gpu.peers.filter(({ id }) => !id.startsWith('onnxruntime-node'))])(
    '$id says why and where it does',
    async ({ load }) => {
      const refusal = await load({ threads: 1 }).catch((error: unknown) => error)
      expect(refusal).toBeInstanceOf(Unavailable)
      expect(String(refusal)).toMatch(/npm (start|run bench)/)
    },
  )
})
