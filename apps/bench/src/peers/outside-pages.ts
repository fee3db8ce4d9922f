import { Unavailable, type Peer } from './peer.ts'

const isNative = 'is native code, which no page runs: npm run bench has it'
const readsFolder = 'reads its model from a folder, which no page has: npm run bench has it'

/** Those that run in Node alone. In a page too they are rows with the reason, like everyone who is left out. */
export const outsidePages: Readonly<Record<Peer['device'], readonly Peer[]>> = {
  cpu: [
    absent({ id: 'onnxruntime-node/cpu', title: 'ONNX Runtime (native)', device: 'cpu' }, isNative),
    absent({ id: 'transformers.js/wasm', title: 'transformers.js (wasm)', device: 'cpu', only: 'writing' }, readsFolder),
    absent({ id: 'transformers.js/native', title: 'transformers.js (native)', device: 'cpu', only: 'writing' }, isNative),
  ],
  gpu: [absent({ id: 'onnxruntime-node/webgpu', title: 'ONNX Runtime (WebGPU in Node)', device: 'gpu' }, isNative)],
}

function absent(peer: Omit<Peer, 'load'>, reason: string): Peer {
  return { ...peer, load: () => Promise.reject(new Unavailable(reason)) }
}
