import type { Backend } from '@qkv/core'
import type { CpuBackend } from '@qkv/cpu'
import type { BenchCase } from '../cases/case.ts'
import { Unavailable, type Contestant, type LoadedPeer, type Peer, type PeerSettings } from './peer.ts'
import { attends, attendsBackward } from './qkv/attention.ts'
import { attendsCached } from './qkv/cached.ts'
import { projects } from './qkv/linear.ts'
import { readsSequence } from './qkv/sequence.ts'
import { writes } from './qkv/writing.ts'

export const qkvCpu: Peer = {
  id: 'qkv/cpu',
  title: 'QKV (CPU)',
  device: 'cpu',
  async load(settings) {
    const { createCpuBackend } = await import('@qkv/cpu')
    return onCpu(await createCpuBackend({ threads: settings.threads }), settings)
  },
}

/** The same without its other threads: how many times as fast they make it. */
export const qkvOneThread: Peer = {
  ...qkvCpu,
  id: 'qkv/one-thread',
  title: 'QKV (one thread)',
  async load(settings) {
    if (settings.threads === 1) throw new Unavailable('is QKV itself without --threads')
    return qkvCpu.load({ ...settings, threads: 1 })
  },
}

export const qkvPortable: Peer = {
  id: 'qkv/javascript',
  title: 'QKV (portable JavaScript)',
  device: 'cpu',
  async load(settings) {
    const { createCpuBackend } = await import('@qkv/cpu')
    return onCpu(await createCpuBackend({ engine: 'javascript' }), settings)
  },
}

/** On the adapter that `requestAdapter` finds: a browser's own, or Dawn's in Node. */
export function qkvWebGpu(requestAdapter: () => Promise<GPUAdapter>): Peer {
  return {
    id: 'qkv/webgpu',
    title: 'QKV (WebGPU)',
    device: 'gpu',
    async load(settings) {
      const { createWebGpuBackend } = await import('@qkv/webgpu')
      return on(await createWebGpuBackend({ adapter: await requestAdapter() }), settings)
    },
  }
}

function onCpu(backend: CpuBackend, settings: PeerSettings): LoadedPeer {
  return on(backend, settings, () => backend.memory().reserved)
}

function on(backend: Backend, { model }: PeerSettings, reservedBytes?: () => number): LoadedPeer {
  const ready = (bench: BenchCase): Contestant | Promise<Contestant> => {
    switch (bench.kind) {
      case 'attention':
        if (bench.cache) return attendsCached(backend, bench)
        return bench.gradient ? attendsBackward(backend, bench) : attends(backend, bench)
      case 'linear':
        return projects(backend, bench)
      case 'sequence':
        return readsSequence(backend, bench)
      case 'writing':
        return writes(backend, bench, model)
    }
  }
  return {
    version: 'this build',
    settings: backend.description,
    prepare: async (bench) => ({ ...(await ready(bench)), reservedBytes }),
  }
}
