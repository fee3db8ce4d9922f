/** A page of a remembered prefix: its tokens lead from its parent's to it. */
interface PrefixPage {
  readonly tokens: string
  readonly page: number
  readonly parent: PrefixPage | undefined
  readonly next: Map<string, PrefixPage>
  used: number
}

/** Pages by the tokens that lead to them: a tree with a page's worth of tokens an edge. */
export class PrefixIndex {
  readonly #first = new Map<string, PrefixPage>()
  #clock = 0

  /** Adds the full pages of a sequence. @returns those that were not there yet. */
  insert(tokens: ArrayLike<number>, pages: readonly number[], pageSize: number): number[] {
    const added: number[] = []
    let parent: PrefixPage | undefined
    for (const [index, own] of edges(tokens, pageSize).entries()) {
      const page = pages[index]
      if (page === undefined) break
      const siblings: Map<string, PrefixPage> = parent?.next ?? this.#first
      let found: PrefixPage | undefined = siblings.get(own)
      if (found === undefined) {
        found = { tokens: own, page, parent, next: new Map(), used: 0 }
        siblings.set(own, found)
        added.push(page)
      }
      found.used = ++this.#clock
      parent = found
    }
    return added
  }

  /** The pages of the longest remembered beginning. */
  find(tokens: ArrayLike<number>, pageSize: number): number[] {
    const pages: number[] = []
    let siblings = this.#first
    for (const own of edges(tokens, pageSize)) {
      const found = siblings.get(own)
      if (found === undefined) break
      found.used = ++this.#clock
      pages.push(found.page)
      siblings = found.next
    }
    return pages
  }

  /** Takes out the page that was longest unused among those that end a prefix and may go. @returns it, if there is one. */
  evict(mayGo: (page: number) => boolean): number | undefined {
    let oldest: PrefixPage | undefined
    const visit = (siblings: Map<string, PrefixPage>): void => {
      for (const entry of siblings.values()) {
        if (entry.next.size > 0) visit(entry.next)
        else if (mayGo(entry.page) && (oldest === undefined || entry.used < oldest.used)) oldest = entry
      }
    }
    visit(this.#first)
    if (oldest === undefined) return undefined
    ;(oldest.parent?.next ?? this.#first).delete(oldest.tokens)
    return oldest.page
  }
}

/** The tokens of each full page. */
function edges(tokens: ArrayLike<number>, pageSize: number): string[] {
  return Array.from({ length: Math.floor(tokens.length / pageSize) }, (_, page) =>
    Array.from({ length: pageSize }, (_, token) => tokens[page * pageSize + token]).join(' '),
  )
}
