import relaxedSimd from '../../build/roofline.relaxed-simd.wasm'
import simd128 from '../../build/roofline.simd128.wasm'
import type { Rooflines } from '../report/report.ts'
import { quantile } from './statistics.ts'

const operationsPerRound = 96
const bytesRead = 48 * 2 ** 20

/**
 * What one thread of WebAssembly can do here at most, in arithmetic and in reading: best of a few short runs, since the
 * ceiling is where nothing disturbs. Relaxed instructions where the engine has them, as QKV's own kernels.
 */
export async function measureRooflines(): Promise<Rooflines> {
  const bytes = WebAssembly.validate(relaxedSimd) ? relaxedSimd : simd128
  const { instance } = await WebAssembly.instantiate(bytes)
  const { multiplyAdds, readAll } = instance.exports as { multiplyAdds(rounds: number): number; readAll(bytes: number): number }
  const rounds = 2_000_000
  const arithmetic = await fastest(() => multiplyAdds(rounds))
  const reading = await fastest(() => readAll(bytesRead))
  return { gigaflops: (rounds * operationsPerRound) / arithmetic / 1e6, gigabytes: bytesRead / reading / 1e6 }
}

/** Milliseconds. The first tenth of several runs, so that a lucky clock reading does not decide; between runs a page may answer. */
async function fastest(action: () => void): Promise<number> {
  const times: number[] = []
  for (let run = 0; run < 15; run++) {
    const start = performance.now()
    action()
    times.push(performance.now() - start)
    await new Promise((resolve) => setTimeout(resolve))
  }
  return quantile(times, 0.1)
}
