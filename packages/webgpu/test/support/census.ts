import { expect } from 'vitest'

/**
 * How many submissions to a device ran each kernel, by its name: as many as problems, where each is read before the next is asked
 * for. Counted from now on.
 */
export function census(device: GPUDevice): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  const createEncoder = device.createCommandEncoder.bind(device)
  device.createCommandEncoder = (descriptor) => {
    const encoder = createEncoder(descriptor)
    const kernels = new Set<string>()
    const beginPass = encoder.beginComputePass.bind(encoder)
    encoder.beginComputePass = (descriptor) => {
      const pass = beginPass(descriptor)
      const setPipeline = pass.setPipeline.bind(pass)
      pass.setPipeline = (pipeline) => {
        kernels.add(pipeline.label)
        setPipeline(pipeline)
      }
      return pass
    }
    const finish = encoder.finish.bind(encoder)
    encoder.finish = (descriptor) => {
      for (const kernel of kernels) counts.set(kernel, (counts.get(kernel) ?? 0) + 1)
      return finish(descriptor)
    }
    return encoder
  }
  return counts
}

/** @throws unless each of the kernels ran in `least` problems: as many as are asked for of every kernel, if nothing is said. */
export function expectProven(counts: ReadonlyMap<string, number>, kernels: readonly string[], least = 150): void {
  console.log([...counts].map(([kernel, count]) => `${kernel}: ${count}`).join(', '))
  for (const kernel of kernels) expect(counts.get(kernel) ?? 0, `problems for ${kernel}`).toBeGreaterThanOrEqual(least)
}
