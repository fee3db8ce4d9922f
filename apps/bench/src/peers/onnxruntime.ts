import type { InferenceSession, Tensor, TensorConstructor, InferenceSessionFactory } from 'onnxruntime-common'
import type { BenchCase } from '../cases/case.ts'
import { checkResult } from '../measure/check.ts'
import type { OnnxGraph } from './onnx-graph.ts'
import { onnxGraphs } from './onnx-graphs.ts'
import { Unavailable, type Contestant } from './peer.ts'

/** Of a GPU's provider: operators that it has no kernel for would else run on the CPU, and be timed as the GPU's. */
export const onGpuAlone: InferenceSession.SessionOptions = { extra: { session: { disable_cpu_ep_fallback: '1' } } }

/** What onnxruntime-web and onnxruntime-node have in common. */
export interface OnnxRuntime {
  readonly InferenceSession: InferenceSessionFactory
  readonly Tensor: TensorConstructor
  /** Of providers with a device: lays float32 down there for good, once a session is open. Others copy inputs in at each run. */
  readonly upload?: (data: Float32Array, shape: readonly number[]) => Promise<Tensor>
}

/**
 * The fastest of ONNX Runtime's ways to do a case, found by trying each; the rest are closed. A way that is wrong, as where a
 * provider passes an attribute over, counts only where all are.
 */
export async function onnxContestant(
  runtime: OnnxRuntime,
  bench: BenchCase,
  options: InferenceSession.SessionOptions,
): Promise<Contestant> {
  const graphs = onnxGraphs(bench)
  const [only] = graphs
  if (graphs.length === 1 && only) return open(runtime, only, options)
  const candidates: { contestant: Contestant; time: number; right: boolean }[] = []
  const refusals: string[] = []
  for (const graph of graphs) {
    try {
      const contestant = await open(runtime, graph, options)
      const time = await timeOf(contestant)
      candidates.push({ contestant, time, right: checkResult(bench, await contestant.result(), contestant).right })
    } catch (error) {
      refusals.push(error instanceof Unavailable ? error.message : refusal(graph, error))
    }
  }
  candidates.sort((a, b) => Number(b.right) - Number(a.right) || a.time - b.time)
  const [best, ...others] = candidates
  for (const { contestant } of others) await contestant.dispose()
  if (best === undefined) throw new Unavailable(refusals.join('; '))
  return best.contestant
}

async function open(runtime: OnnxRuntime, graph: OnnxGraph, options: InferenceSession.SessionOptions): Promise<Contestant> {
  const session = await runtime.InferenceSession.create(graph.model, options).catch((error: unknown) => {
    throw new Unavailable(refusal(graph, error))
  })
  const feeds: Record<string, Tensor> = {}
  for (const [name, { element, data, shape }] of Object.entries(graph.inputs)) {
    // Numbers of tokens are wanted on the host; of nothing, as an empty past is, there can be no buffer.
    const uploads = runtime.upload !== undefined && data instanceof Float32Array && data.length > 0
    feeds[name] = uploads
      ? await runtime.upload(data, shape)
      : new runtime.Tensor(element as 'float32', data as Float32Array, shape)
  }
  let y = new Float32Array()
  return {
    how: graph.how,
    layer: graph.layer,
    async run() {
      const output = await session.run(feeds, ['y'])
      y = (await output['y']!.getData(true)) as Float32Array<ArrayBuffer>
    },
    async result() {
      return graph.resultOf(y)
    },
    async dispose() {
      await session.release()
      for (const feed of Object.values(feeds)) feed.dispose()
    },
  }
}

/** The fastest run of a fifth of a second, or of ten where they take longer, up to a second. */
async function timeOf(contestant: Contestant): Promise<number> {
  const begun = performance.now()
  await contestant.run()
  let fastest = performance.now() - begun
  for (let run = 0; performance.now() - begun < (run < 10 ? 1000 : 200); run++) {
    const start = performance.now()
    await contestant.run()
    fastest = Math.min(fastest, performance.now() - start)
  }
  return fastest
}

/** ONNX Runtime's errors without the folders of who built it. */
function refusal({ how }: OnnxGraph, error: unknown): string {
  const message = String(error instanceof Error ? error.message : error)
  if (message.includes('fallback to CPU EP')) return `${how} has no WebGPU kernel`
  const words = message.replace(/^.*ERROR_MESSAGE: /s, '').replace(/\S*\/onnxruntime\/(?=core\/)/g, '')
  return `${how}: ${words.replace(/\s+/g, ' ').trim().slice(0, 160)}`
}
