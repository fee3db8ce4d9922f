import { engine } from './client.ts'
import type { BackendChoice, BackendReport } from './engine.ts'
import { messageOf } from './message-of.ts'

/** What computes for the page, by the visitor's choice. */
class Computing {
  choice = $state<BackendChoice>('fastest')
  report = $state.raw<BackendReport>()
  failure = $state<string>()
  changing = $state(true)
  /** Rises with each change: who reads it computes anew on the new backend. */
  turn = $state(0)

  constructor() {
    void this.#hear(engine.start())
  }

  /** Where that one cannot compute here, the one before goes on. */
  async use(choice: BackendChoice): Promise<void> {
    const before = this.choice
    this.choice = choice
    if (await this.#hear(engine.use(choice))) this.turn++
    else this.choice = before
  }

  async #hear(report: Promise<BackendReport>): Promise<boolean> {
    this.changing = true
    this.failure = undefined
    try {
      this.report = await report
    } catch (failure) {
      this.failure = messageOf(failure)
    }
    this.changing = false
    return this.failure === undefined
  }
}

export const computing: Computing = new Computing()
