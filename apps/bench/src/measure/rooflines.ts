import relaxedSimd from '../../build/roofline.relaxed-simd.wasm'
import simd128 from '../../build/roofline.simd128.wasm'
import type { Host } from '../host/connection.ts'
import type { Ceiling } from '../host/protocol.ts'
import type { Rooflines } from '../report/report.ts'
import { quantile } from './statistics.ts'

/**
 * What this machine can do at most with so many threads, each in a host of its own and all at once: threads share what
 * clocks and memory give. The sum of what each reaches, in 10⁹ operations and bytes a second.
 */
export async function measureRooflines(startHost: () => Host, threads: number): Promise<Rooflines> {
  const hosts = Array.from({ length: threads }, startHost)
  const together = async (of: Ceiling): Promise<number> => {
    const reached = await Promise.all(hosts.map((host) => host.ask({ ask: 'ceiling', of }, 30_000)))
    return reached.reduce((sum, one) => sum + one, 0)
  }
  try {
    await together('arithmetic')
    return { threads, gigaflops: await together('arithmetic'), gigabytes: await together('reading') }
  } finally {
    for (const host of hosts) host.close()
  }
}

/** The clock of one thread that works alone, in GHz: it tells whether the machine was the same before a run and after it. */
export async function measureClock(startHost: () => Host): Promise<number> {
  const host = startHost()
  try {
    return await host.ask({ ask: 'ceiling', of: 'clock' }, 30_000)
  } finally {
    host.close()
  }
}

/** What `roofline.ts` exports. */
type Loops = {
  multiplyAdds(rounds: number, x: number, y: number): number
  readAll(bytes: number): number
  oneByOne(rounds: number, x: number): number
}

const bytesRead = 48 * 2 ** 20

/** What is run, and how much it does: operations, bytes, or cycles. */
const loops: Readonly<Record<Ceiling, { readonly run: (loops: Loops) => number; readonly amount: number }>> = {
  arithmetic: { run: ({ multiplyAdds }) => multiplyAdds(300_000, 0.9999, 0.0001), amount: 300_000 * 96 },
  reading: { run: ({ readAll }) => readAll(bytesRead), amount: bytesRead },
  clock: { run: ({ oneByOne }) => oneByOne(20_000, 12_345), amount: 20_000 * 32 },
}

const milliseconds = 400

let instance: Promise<Loops> | undefined

/**
 * One thread of WebAssembly on its own: the fastest quarter of short runs over a while, so that neither a lucky clock reading
 * nor the moments when other threads have ended decide. Relaxed instructions where the engine has them, as QKV's own kernels.
 */
export async function measureCeiling(of: Ceiling): Promise<number> {
  instance ??= instantiate()
  const exported = await instance
  const { run, amount } = loops[of]
  const times: number[] = []
  const end = performance.now() + milliseconds
  while (performance.now() < end) {
    const start = performance.now()
    run(exported)
    times.push(performance.now() - start)
  }
  return amount / quantile(times, 0.25) / 1e6
}

async function instantiate(): Promise<Loops> {
  const bytes = WebAssembly.validate(relaxedSimd) ? relaxedSimd : simd128
  const { instance } = await WebAssembly.instantiate(bytes)
  return instance.exports as Loops
}
