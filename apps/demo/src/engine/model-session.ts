import { elementCount, type Backend } from '@qkv/core'
import {
  Decoder,
  generateText,
  measureHeads,
  readLlama2cCheckpoint,
  readLlama2cTokenizer,
  sampler,
  type DecoderCheckpoint,
  type Tokenizer,
} from '@qkv/transformer'
import type { Engine, ModelFacts, TakenFile, WriteRequest, WrittenStep } from './engine.ts'

type Tell = (step: WrittenStep) => Promise<void>

/** The part of the engine that holds a model: its two files, the decoder made of them, and the text that it writes. */
export interface ModelSession extends Pick<Engine, 'takeFile' | 'measureHeads' | 'write' | 'stop'> {
  /** Ends the text that is being written. */
  ended(): Promise<void>
  /** Ends the text and brings the model's weights to another backend; where that fails, the model stays where it was. */
  moveTo(backend: Backend): Promise<void>
}

export function modelSession(current: () => Promise<Backend>): ModelSession {
  let checkpoint: DecoderCheckpoint | undefined
  let model: Decoder | undefined
  let tokenizer: Tokenizer | undefined
  let stopped = false
  let text = Promise.resolve()

  function loaded(): { model: Decoder; tokenizer: Tokenizer } {
    if (model && tokenizer) return { model, tokenizer }
    throw new Error('A model is a checkpoint and its tokenizer: one of them is missing.')
  }

  function place(next: DecoderCheckpoint, backend: Backend): void {
    const placed = new Decoder(next, { backend })
    model?.dispose()
    model = placed
    checkpoint = next
  }

  async function ended(): Promise<void> {
    stopped = true
    await text
  }

  return {
    ended,

    async moveTo(backend) {
      await ended()
      if (checkpoint) place(checkpoint, backend)
    },

    async takeFile(name, bytes): Promise<TakenFile> {
      await ended()
      const kind = isTokenizer(name, bytes) ? 'tokenizer' : 'checkpoint'
      if (kind === 'tokenizer') tokenizer = readLlama2cTokenizer(bytes)
      else place(readLlama2cCheckpoint(bytes), await current())
      return { kind, model: checkpoint && tokenizer ? factsOf(checkpoint) : undefined }
    },

    measureHeads() {
      const { model, tokenizer } = loaded()
      return measureHeads(model, tokenizer)
    },

    async write(request, tell) {
      const { model, tokenizer } = loaded()
      stopped = false
      const writing = writeOn(model, tokenizer, request, tell, () => stopped)
      text = writing.catch(() => {})
      return writing
    },

    stop() {
      stopped = true
    },
  }
}

async function writeOn(
  model: Decoder,
  tokenizer: Tokenizer,
  request: WriteRequest,
  tell: Tell,
  stopped: () => boolean,
): Promise<void> {
  const { prompt, steps, cache, temperature, topP, seed } = request
  const sample = sampler({ temperature, topP, seed })
  const decoder = tokenizer.streamDecoder()
  let texts = tokenizer.encode(prompt).map((token) => decoder.push(token))
  let written = 0
  let seconds = 0
  let told = Promise.resolve()
  let resumed = performance.now()
  for await (const step of generateText(model, tokenizer, prompt, { steps, cache, sample, maps: true })) {
    seconds += (performance.now() - resumed) / 1000
    told = tell({ texts: [...texts, step.text], maps: step.maps ?? [], written: ++written, seconds })
    texts = []
    await otherMessages()
    if (stopped()) break
    resumed = performance.now()
  }
  await told
}

/** Lets what came in meanwhile be heard, `stop` above all. A timeout would wait four milliseconds. */
function otherMessages(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => resolve()
    port2.postMessage(undefined)
  })
}

/** By its name, or else by what is in it. */
function isTokenizer(name: string, bytes: ArrayBuffer): boolean {
  if (/tok/i.test(name)) return true
  try {
    readLlama2cTokenizer(bytes)
    return true
  } catch {
    return false
  }
}

function factsOf({ sizes, blocks, embedding, head, norm }: DecoderCheckpoint): ModelFacts {
  const { heads, kvHeads, headDim, modelDim, vocabularySize, contextLength } = sizes
  // Blocks are plain data: their tensors are wherever a shape is.
  const tensors = new Set([embedding, head.weight, norm.weight, ...blocks.flatMap((block) => tensorsIn(block))])
  const parameters = [...tensors].reduce((total, { shape }) => total + elementCount(shape), 0)
  return { layers: blocks.length, heads, kvHeads, headDim, modelDim, vocabularySize, contextLength, parameters }
}

function tensorsIn(part: object): { readonly shape: readonly number[] }[] {
  return Object.values(part).flatMap((value: unknown) => {
    if (typeof value !== 'object' || value === null) return []
    return isShaped(value) ? [value] : tensorsIn(value)
  })
}

function isShaped(value: object): value is { readonly shape: readonly number[] } {
  return 'shape' in value
}
