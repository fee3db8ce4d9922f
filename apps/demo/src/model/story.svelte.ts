import { proxy } from 'comlink'
import { engine } from '../engine/client.ts'
import type { HeadMeasures, ModelFacts, WriteRequest, WrittenStep } from '../engine/engine.ts'
import { messageOf } from '../engine/message-of.ts'

export interface HeadName {
  readonly layer: number
  readonly head: number
}

/** A text that the model writes, with everything that its heads looked at. One a page. */
class Story {
  model = $state.raw<ModelFacts>()
  roles = $state.raw<HeadMeasures>()
  /** The heads that mostly look at the token before, the most faithful first. */
  readonly previousTokenHeads = $derived(previousTokenHeads(this.roles ?? []))
  tokens = $state.raw<readonly string[]>([])
  /** Tokens before this were the visitor's. */
  writtenFrom = $state(0)
  /** How many rows the maps have; the maps themselves grow in place. */
  rows = $state(0)
  writing = $state(false)
  tokensPerSecond = $state<number>()
  failure = $state<string>()
  /** Names of the files that were taken in. */
  checkpoint = $state<string>()
  tokenizer = $state<string>()
  /** `[layer][head]`, each a list of rows. */
  maps = $state.raw<Float32Array[][][]>([])
  /** The mean of all heads. */
  meanMap = $state.raw<Float32Array[]>([])

  async take(files: Iterable<File>): Promise<void> {
    this.failure = undefined
    try {
      for (const file of files) {
        const bytes = await file.arrayBuffer()
        const { kind, model } = await engine.takeFile(file.name, bytes)
        this[kind] = file.name
        if (model) this.#begin(model)
      }
      if (this.model && !this.roles) this.roles = await engine.measureHeads()
    } catch (failure) {
      this.failure = messageOf(failure)
    }
  }

  async write(request: WriteRequest): Promise<void> {
    if (this.writing) return
    this.writing = true
    this.failure = undefined
    this.#clear()
    try {
      await engine.write(
        request,
        proxy(async (step: WrittenStep) => this.#hear(step)),
      )
    } catch (failure) {
      this.failure = messageOf(failure)
    } finally {
      this.#grow()
      this.writing = false
    }
  }

  stop(): void {
    void engine.stop()
  }

  /** How much each token looks at each, in one head or in the mean of all. */
  mapOf(name: HeadName | undefined): readonly Float32Array[] {
    return name ? (this.maps[name.layer]?.[name.head] ?? []) : this.meanMap
  }

  #begin(model: ModelFacts): void {
    this.model = model
    this.roles = undefined
    this.#clear()
  }

  #clear(): void {
    const { layers = 0, heads = 0 } = this.model ?? {}
    this.maps = Array.from({ length: layers }, () => Array.from({ length: heads }, () => []))
    this.meanMap = []
    this.rows = 0
    this.tokens = []
    this.writtenFrom = 0
    this.tokensPerSecond = undefined
  }

  /** Steps that are not drawn yet: the model may be faster than the screen. */
  #heard: WrittenStep[] = []

  #hear(step: WrittenStep): void {
    if (this.#heard.push(step) === 1) setTimeout(() => requestAnimationFrame(() => this.#grow()), pause)
  }

  #grow(): void {
    const steps = this.#heard.splice(0)
    const last = steps.at(-1)
    if (!last) return
    for (const { maps } of steps) {
      maps.forEach((heads, layer) => heads.forEach((rows, head) => this.maps[layer]?.[head]?.push(...rows)))
    }
    const rows = this.maps[0]?.[0]?.length ?? 0
    for (let row = this.rows; row < rows; row++)
      this.meanMap.push(mean(this.maps.flat().map((head) => head[row] ?? new Float32Array(0))))
    this.rows = rows
    if (this.tokens.length === 0) this.writtenFrom = (steps[0]?.texts.length ?? 1) - 1
    this.tokens = [...this.tokens, ...steps.flatMap(({ texts }) => texts)]
    if (last.seconds > 0) this.tokensPerSecond = last.written / last.seconds
  }
}

/** Milliseconds between drawings, which leave the page free to answer. */
const pause = 40

export const story: Story = new Story()

function previousTokenHeads(measures: HeadMeasures): (HeadName & { readonly previousToken: number })[] {
  return measures
    .flatMap((heads, layer) => heads.map((measure, head) => ({ ...measure, layer, head })))
    .filter(({ role }) => role === 'previousToken')
    .sort((a, b) => b.previousToken - a.previousToken)
}

function mean(rows: readonly Float32Array[]): Float32Array {
  const sum = new Float32Array(rows[0]?.length ?? 0)
  for (const row of rows) row.forEach((weight, index) => (sum[index] = (sum[index] ?? 0) + weight / rows.length))
  return sum
}
