import { attention } from '@qkv/attention'
import { createBackend, type ChosenBackend } from '@qkv/attention/auto'
import { tensor, type HostTensor } from '@qkv/core'
import { rotary } from '@qkv/positional'
import { expose } from 'comlink'
import type { AttendRequest, BackendReport, Engine } from './engine.ts'
import { modelSession } from './model-session.ts'
import { selfCheck } from './self-check.ts'

const backend: Promise<ChosenBackend> = createBackend()

const engine: Engine = {
  async start(): Promise<BackendReport> {
    const { name, description, passedOver } = await backend
    return {
      name,
      description,
      passedOver: passedOver.map(({ backend, reason }) => ({ name: backend, reason })),
      check: await selfCheck(await backend),
    }
  },

  async attend(request: AttendRequest): Promise<Float32Array> {
    const { heads, dim, causal, query } = request
    const shape = [1, heads, query.length / (heads * dim), dim]
    const [q, k, v] = [query, request.key, request.value].map((values) => tensor(values, shape)) as [
      HostTensor,
      HostTensor,
      HostTensor,
    ]
    const { output } = await attention(q, k, v, {
      backend: await backend,
      causal,
      position: request.rotary ? rotary({ dim }) : undefined,
    })
    using attended = output
    return Float32Array.from(await (await backend).read(attended))
  },

  ...modelSession(backend),
}

expose(engine)
