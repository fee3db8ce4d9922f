import { refused } from './refuse.ts'

/** Whether what owns memory may still be used. */
export class Life {
  readonly #owner: string
  readonly #argument: string
  #ended = false

  /** @param owner the public class, and what it is called where it is handed on: a cache, a pool, a module */
  constructor(owner: string, argument: string) {
    this.#owner = owner
    this.#argument = argument
  }

  get ended(): boolean {
    return this.#ended
  }

  /** @throws QkvError `DISPOSED`. */
  check(): void {
    if (this.#ended) throw refused('DISPOSED', this.#owner, this.#argument, 'not disposed', 'a disposed one')
  }

  /** @returns false where it had ended before. */
  end(): boolean {
    const first = !this.#ended
    this.#ended = true
    return first
  }
}
