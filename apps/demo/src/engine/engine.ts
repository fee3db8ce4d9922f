import type { HeadMeasure } from '@qkv/transformer'

/** `[layer][head]` */
export type HeadMeasures = readonly (readonly HeadMeasure[])[]

/** What the page asks of its worker, and what it hears back. Everything is plain data. */
export interface Engine {
  /** Says what computes here, and checks it against the reference. */
  start(): Promise<BackendReport>
  /** Computes with another backend from now on; where it cannot be made, the one before stays. */
  use(choice: BackendChoice): Promise<BackendReport>
  /** Recognises a file as a checkpoint or a tokenizer, and takes it in. */
  takeFile(name: string, bytes: ArrayBuffer): Promise<TakenFile>
  /** Measures what every head of the model does. */
  measureHeads(): Promise<HeadMeasures>
  /** Writes on, telling of each token; ends when the text ends or `stop` is called. */
  write(request: WriteRequest, tell: (step: WrittenStep) => Promise<void>): Promise<void>
  stop(): void
  /** Attention among vectors of one batch entry, all heads. */
  attend(request: AttendRequest): Promise<Float32Array>
  /** The same with a score change that the visitor wrote, compared with float64. */
  tryScore(request: AttendRequest, score: string): Promise<SelfCheck>
  /** One causal head over a long text, on the processor, in memory of its own. */
  attendLong(tokens: number, tell: (done: number) => void): Promise<LongRun>
}

/** What is to compute: the fastest that works here, or one in particular. */
export type BackendChoice = 'fastest' | 'webgpu' | 'cpu' | 'javascript'

export interface BackendReport {
  readonly name: string
  readonly description: string
  /** Backends that were tried before, and why they cannot run here. */
  readonly passedOver: readonly { readonly name: string; readonly reason: string }[]
  readonly check: SelfCheck
}

/** One attention computed on the backend and in float64. */
export interface SelfCheck {
  /** E.g. `8 heads, 256 tokens, causal`. */
  readonly problem: string
  readonly elements: number
  readonly largestError: number
  /** The largest error as a share of what a correct kernel may be off by; at most 1. */
  readonly shareOfBound: number
  readonly milliseconds: number
}

/** Attention over a text whose score matrix might not fit. */
export interface LongRun {
  readonly milliseconds: number
  /** Taken for the work, beyond queries, keys, values and output. */
  readonly bytesBeyond: number
  /** Of the rows that were computed again in float64: how many, and their largest error as a share of its bound. */
  readonly rowsChecked: number
  readonly shareOfBound: number
}

export interface ModelFacts {
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly modelDim: number
  readonly vocabularySize: number
  readonly contextLength: number
  readonly parameters: number
}

export interface TakenFile {
  readonly kind: 'checkpoint' | 'tokenizer'
  /** Present once both files are there. */
  readonly model: ModelFacts | undefined
}

export interface WriteRequest {
  readonly prompt: string
  readonly steps: number
  readonly temperature: number
  readonly topP: number
  readonly seed: number
  readonly cache: boolean
}

export interface WrittenStep {
  /** Texts of tokens that are new since the last step: first the prompt's and one more, then one a step. */
  readonly texts: readonly string[]
  /** `[layer][head][row]` of the tokens that have now looked around, in order. */
  readonly maps: readonly (readonly (readonly Float32Array[])[])[]
  /** Tokens that the model wrote so far, and the time that it took. */
  readonly written: number
  readonly seconds: number
}

export interface AttendRequest {
  /** Each [heads, tokens, dim]. */
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly heads: number
  readonly dim: number
  readonly causal: boolean
  /** Turn queries and keys by their position. */
  readonly rotary: boolean
}
