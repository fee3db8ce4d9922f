import { engine } from './client.ts'
import type { BackendChoice, BackendReport } from './engine.ts'

/** What computes for the page, by the visitor's choice. */
class Computing {
  choice = $state<BackendChoice>('fastest')
  report = $state.raw<BackendReport>()
  failure = $state<string>()
  /** Rises with each change: who reads it computes anew on the new backend. */
  turn = $state(0)

  constructor() {
    void this.#hear(engine.start())
  }

  async use(choice: BackendChoice): Promise<void> {
    this.choice = choice
    this.report = undefined
    await this.#hear(engine.use(choice))
    this.turn++
  }

  async #hear(report: Promise<BackendReport>): Promise<void> {
    try {
      this.report = await report
      this.failure = undefined
    } catch (failure) {
      this.failure = failure instanceof Error ? failure.message : String(failure)
    }
  }
}

export const computing: Computing = new Computing()
