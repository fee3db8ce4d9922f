/** Turns text into the tokens that a model was trained on, and back. */
export interface Tokenizer {
  /** How many tokens there are; they are numbered from 0. */
  readonly size: number
  /** What stands before the first token of every text. */
  readonly beginToken: number
  /** After any of these a text is over. */
  readonly endTokens: readonly number[]
  /** The tokens that were learned from text: neither for control nor single bytes. */
  readonly pieces: readonly number[]
  /** The tokens of a text, `beginToken` first. Every text has some: what the vocabulary lacks is spelled in bytes. */
  encode(text: string): number[]
  /** The text of tokens; bytes that are not UTF-8 become `�`. */
  decode(tokens: readonly number[]): string
  /** Decodes tokens as they come. */
  streamDecoder(): StreamDecoder
}

export interface StreamDecoder {
  /** The text that this token completes: empty while the bytes of a character are still arriving. */
  push(token: number): string
  /** What is left at the end: `�` for a character that never completed, else empty. */
  end(): string
}
