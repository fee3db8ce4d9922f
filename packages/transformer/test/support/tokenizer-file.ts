export type Piece = readonly [text: string, score: number]

/** A llama2.c tokenizer file with the three control tokens, the 256 bytes and then these pieces. */
export function tokenizerFile(pieces: readonly Piece[]): Uint8Array<ArrayBuffer> {
  const bytes = Array.from({ length: 256 }, (_, byte): Piece => [`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0])
  const all: Piece[] = [['<unk>', 0], ['\n<s>\n', 0], ['\n</s>\n', 0], ...bytes, ...pieces]
  const parts = all.map(([text, score]) => {
    const utf8 = new TextEncoder().encode(text)
    const part = new Uint8Array(8 + utf8.length)
    const view = new DataView(part.buffer)
    view.setFloat32(0, score, true)
    view.setInt32(4, utf8.length, true)
    part.set(utf8, 8)
    return part
  })
  const longest = Math.max(...parts.map((part) => part.length - 8))
  const file = new Uint8Array(4 + parts.reduce((total, part) => total + part.length, 0))
  new DataView(file.buffer).setInt32(0, longest, true)
  let offset = 4
  for (const part of parts) {
    file.set(part, offset)
    offset += part.length
  }
  return file
}
