import { create, globals } from 'webgpu'

/** Held for the life of the process: Dawn crashes once it is collected. */
let kept: GPU | undefined

/**
 * WebGPU in Node, on whatever Vulkan driver the environment names (see `software-gpu.setup`). Also defines WebGPU's
 * global classes and flags, which a browser has.
 */
export function softwareGpu(): GPU {
  Object.assign(globalThis, globals)
  kept ??= create(['enable-dawn-features=allow_unsafe_apis'])
  return kept
}
