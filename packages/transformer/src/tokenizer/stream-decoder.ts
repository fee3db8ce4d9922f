import type { StreamDecoder } from './tokenizer.ts'

const space = 0x20

/**
 * Puts the bytes of tokens back together. The space that encoding put before a text is taken away again: it opens the
 * first token after `beginToken`.
 */
export function streamDecoder(bytesOfToken: readonly Uint8Array[], beginToken: number): StreamDecoder {
  const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  let previous: number | undefined
  return {
    push(token) {
      const bytes = bytesOfToken[token] ?? new Uint8Array(0)
      const opens = previous === beginToken && bytes[0] === space
      previous = token
      return utf8.decode(opens ? bytes.subarray(1) : bytes, { stream: true })
    },
    end: () => utf8.decode(),
  }
}
