import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readLlama2cCheckpoint, readLlama2cTokenizer, type DecoderSizes } from '@qkv/transformer'
import type { InferenceSession } from 'onnxruntime-common'
import type { WritingCase } from '../cases/case.ts'
import { onnxDecoder } from './onnx-decoder.ts'
import { inThreads, requireModel, Unavailable, type Contestant, type LoadedPeer, type ModelFiles, type Peer } from './peer.ts'

type Transformers = typeof import('@huggingface/transformers')

/** transformers.js as Node runs it, on ONNX Runtime's native kernels; end to end only, for its attention is ONNX Runtime’s. */
export const transformersNative: Peer = {
  id: 'transformers.js/native',
  title: 'transformers.js (native)',
  device: 'cpu',
  only: 'writing',
  async load({ threads, model }) {
    const transformers = await import('@huggingface/transformers')
    const session = { intraOpNumThreads: threads, interOpNumThreads: 1 }
    return loaded(transformers, model, `native cpu provider, ${inThreads(threads)}`, 'cpu', session)
  },
}

/** transformers.js as browsers run it, on ONNX Runtime Web's WebAssembly. */
export const transformersWasm: Peer = {
  id: 'transformers.js/wasm',
  title: 'transformers.js (wasm)',
  device: 'cpu',
  only: 'writing',
  async load({ threads, model }) {
    const ort = await import('onnxruntime-web')
    // It takes a runtime that is there already for its own. In Node it hands that paths, which this one would fetch.
    const create = async (path: string, options: InferenceSession.SessionOptions) =>
      ort.InferenceSession.create(await readFile(path), options)
    Object.assign(globalThis, { [Symbol.for('onnxruntime')]: { env: ort.env, Tensor: ort.Tensor, InferenceSession: { create } } })
    const transformers = await import('@huggingface/transformers')
    transformers.env.useWasmCache = false
    // It points at a server for the binary; the package has its own beside it.
    delete (ort.env.wasm as { wasmPaths?: unknown }).wasmPaths
    ort.env.wasm.numThreads = threads
    return loaded(transformers, model, `wasm provider, ${inThreads(threads)}`, 'auto', { executionProviders: ['wasm'] })
  },
}

function loaded(
  transformers: Transformers,
  files: ModelFiles | undefined,
  settings: string,
  device: 'cpu' | 'auto',
  session: InferenceSession.SessionOptions,
): LoadedPeer {
  transformers.env.allowRemoteModels = false
  return {
    version: transformers.env.version,
    settings,
    async prepare(bench) {
      if (bench.kind !== 'writing') throw new Unavailable('whole models only; its attention is ONNX Runtime’s')
      return writes(transformers, bench, requireModel(files), device, session)
    },
  }
}

async function writes(
  { AutoModelForCausalLM, Tensor }: Transformers,
  { prompt, tokens }: WritingCase,
  files: ModelFiles,
  device: 'cpu' | 'auto',
  session_options: InferenceSession.SessionOptions,
): Promise<Contestant> {
  const folder = await exportModel(files)
  const model = await AutoModelForCausalLM.from_pretrained(folder, {
    dtype: 'fp32',
    local_files_only: true,
    device,
    session_options,
  })
  // It has been read, and a process that is ended could not remove it any more.
  await rm(folder, { recursive: true })
  const begun = readLlama2cTokenizer(files.tokenizer).encode(prompt)
  const inputs = new Tensor('int64', BigInt64Array.from(begun, BigInt), [1, begun.length])
  let written: number[] = []
  return {
    how: 'generate, with a cache',
    async run() {
      const sequence = await model.generate({ inputs, max_new_tokens: tokens, do_sample: false } as Parameters<
        typeof model.generate
      >[0])
      written = Array.from((sequence as InstanceType<typeof Tensor>).data as BigInt64Array, Number).slice(begun.length)
    },
    result: async () => Float32Array.from(written),
    dispose: async () => void (await model.dispose()),
  }
}

/** A folder as a model hub has it, in the system's temporary place. */
async function exportModel({ checkpoint }: ModelFiles): Promise<string> {
  const model = readLlama2cCheckpoint(checkpoint)
  const folder = await mkdtemp(join(tmpdir(), 'qkv-bench-'))
  await mkdir(join(folder, 'onnx'))
  await writeFile(join(folder, 'onnx', 'model.onnx'), onnxDecoder(model))
  await writeFile(join(folder, 'config.json'), JSON.stringify(configOf(model.sizes, model.blocks.length)))
  return folder
}

/** What Hugging Face's `config.json` says of a Llama. */
function configOf({ modelDim, heads, kvHeads, vocabularySize, contextLength }: DecoderSizes, layers: number): object {
  return {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: modelDim,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    num_hidden_layers: layers,
    vocab_size: vocabularySize,
    max_position_embeddings: contextLength,
    bos_token_id: 1,
    eos_token_id: 2,
  }
}
