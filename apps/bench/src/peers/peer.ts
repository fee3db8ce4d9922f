import type { BenchCase } from '../cases/case.ts'

/** What may be picked to compute attention here, QKV included. One small adapter each. */
export interface Peer {
  /** Short and stable, e.g. `onnxruntime-web/wasm`. */
  readonly id: string
  readonly title: string
  readonly device: 'cpu' | 'gpu'
  /** The one kind of case that it takes part in; all where it is left out. */
  readonly only?: BenchCase['kind']
  /** @throws {@link Unavailable} where it cannot run here. */
  load(settings: PeerSettings): Promise<LoadedPeer>
}

export interface PeerSettings {
  readonly threads: number
  /** What writing cases write with; they are left out where it is absent. */
  readonly model?: ModelFiles | undefined
}

/** A model of llama2.c, as the bytes of its two files. */
export interface ModelFiles {
  readonly checkpoint: Uint8Array
  readonly tokenizer: Uint8Array
}

export interface LoadedPeer {
  readonly version: string
  /** What a reader has to know to repeat it: threads, provider, adapter. */
  readonly settings: string
  /** Everything up to being able to run: data in place, graph built. @throws {@link Unavailable} where it cannot do the case. */
  prepare(bench: BenchCase): Promise<Contestant>
}

/** A peer ready to run one case. */
export interface Contestant {
  /** How it does the case where there is a choice, e.g. `GroupQueryAttention`. */
  readonly how: string
  /** Of a sequence case, which layer reads: what its result is checked against. */
  readonly layer?: 'attention' | 'lstm' | undefined
  /** One whole computation, its result readable when the promise settles. */
  run(): Promise<void> | void
  /**
   * The last result, row-major: attention's output as [batch, queryHeads, queryLength, valueDim], a linear layer's as
   * [rows, outputs], a sequence layer's as [length, width]; of a gradient case dQuery, dKey and dValue, one after the other;
   * of a writing case the numbers of the tokens written.
   */
  result(): Promise<Float32Array>
  /** Bytes that it has taken from the system for all tensors and work so far, where it knows. */
  readonly reservedBytes?: (() => number) | undefined
  dispose(): Promise<void> | void
}

/** Why a peer, or one case of it, is left out: shown as it is in the report. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
}

/** In words. */
export function inThreads(threads: number): string {
  return `${threads} thread${threads === 1 ? '' : 's'}`
}

/** @throws Unavailable where there is no model. */
export function requireModel(files: ModelFiles | undefined): ModelFiles {
  if (files === undefined) throw new Unavailable('needs a model: --model FOLDER with stories260K.bin and tok512.bin')
  return files
}

/** @throws Unavailable outside of pages with WebGPU. */
export function requirePageGpu(): void {
  if (typeof navigator === 'undefined' || navigator.gpu === undefined) {
    throw new Unavailable('needs a browser with WebGPU: npm start, then the benchmark page')
  }
}
