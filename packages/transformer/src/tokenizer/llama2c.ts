import { QkvError, describe } from '@qkv/core'
import { mergeByScore, type Vocabulary } from './merge-by-score.ts'
import { streamDecoder } from './stream-decoder.ts'
import type { Tokenizer } from './tokenizer.ts'

/** llama2.c numbers its tokens so: unknown, begin, end, then the 256 bytes, then the learned pieces. */
const beginToken = 1
const endToken = 2
const firstByte = 3
const firstPiece = firstByte + 256

/**
 * Reads the tokenizer file of llama2.c (`tokenizer.bin`): an int32, the longest token's bytes; then for each token its
 * float32 score, int32 byte count and UTF-8 bytes. Little-endian.
 *
 * @throws QkvError `FILE_MALFORMED` where the file ends within a token or is no such file.
 */
export function readLlama2cTokenizer(file: ArrayBuffer | Uint8Array): Tokenizer {
  const { pieces, scores } = readPieces(bytesOf(file))
  const vocabulary = indexPieces(pieces, scores)
  const textBytes = pieces.map(bytesOfToken)
  return {
    size: pieces.length,
    beginToken,
    endTokens: [beginToken, endToken],
    pieces: pieces.map((_, token) => token).slice(firstPiece),
    encode: (text) => encode(text, vocabulary),
    decode(tokens) {
      const stream = streamDecoder(textBytes, beginToken)
      return tokens.map(stream.push).join('') + stream.end()
    },
    streamDecoder: () => streamDecoder(textBytes, beginToken),
  }
}

/** A text starts as if after a space, so that its first word is the token it would be elsewhere. */
function encode(text: string, vocabulary: Vocabulary): number[] {
  const symbols = text === '' ? [] : [...` ${text.toWellFormed()}`]
  return [
    beginToken,
    ...mergeByScore(
      symbols.flatMap((symbol) => tokensOfSymbol(symbol, vocabulary)),
      vocabulary,
    ),
  ]
}

function tokensOfSymbol(symbol: string, vocabulary: Vocabulary): number[] {
  const token = vocabulary.tokenOf.get(symbol)
  return token === undefined ? Array.from(utf8.encode(symbol), (byte) => firstByte + byte) : [token]
}

/** What a token writes; the three control tokens write nothing. */
function bytesOfToken(piece: Uint8Array, token: number): Uint8Array {
  if (token >= firstPiece) return piece
  return token >= firstByte ? Uint8Array.of(token - firstByte) : new Uint8Array(0)
}

/** Text finds learned pieces only: text that spells a control token's name is not that token. */
function indexPieces(pieces: readonly Uint8Array[], scores: readonly number[]): Vocabulary {
  const names = pieces.map((piece) => new TextDecoder().decode(piece))
  const tokenOf = new Map<string, number>()
  for (let token = names.length - 1; token >= firstPiece; token--) tokenOf.set(names[token] ?? '', token)
  return { names, scores, tokenOf }
}

function readPieces(bytes: Uint8Array): { pieces: Uint8Array[]; scores: number[] } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const pieces: Uint8Array[] = []
  const scores: number[] = []
  let offset = 4
  const expectBytes = (count: number): void => {
    if (count >= 0 && offset + count <= bytes.length) return
    throw malformed(
      `${count < 0 ? 'a count ≥ 0' : `${count} more bytes`} for token ${pieces.length}`,
      `${count < 0 ? count : Math.max(0, bytes.length - offset)} at byte ${offset}`,
    )
  }
  if (bytes.length < 4) throw malformed('a llama2.c tokenizer, which starts with an int32', `${bytes.length} bytes`)
  while (offset < bytes.length) {
    expectBytes(8)
    const score = view.getFloat32(offset, true)
    const count = view.getInt32(offset + 4, true)
    if (Number.isNaN(score)) throw malformed(`a score for token ${pieces.length}`, `NaN at byte ${offset}`)
    offset += 8
    expectBytes(count)
    pieces.push(bytes.slice(offset, offset + count))
    scores.push(score)
    offset += count
  }
  if (pieces.length < firstPiece)
    throw malformed(`at least ${firstPiece} tokens (three for control, 256 bytes)`, `${pieces.length}`)
  return { pieces, scores }
}

const utf8 = new TextEncoder()

function bytesOf(file: unknown): Uint8Array {
  if (file instanceof ArrayBuffer) return new Uint8Array(file)
  if (file instanceof Uint8Array) return file
  throw new QkvError({
    code: 'OPTION_INVALID',
    operation: 'readLlama2cTokenizer',
    argument: 'file',
    expected: 'the file as an ArrayBuffer or Uint8Array',
    received: describe(file),
  })
}

function malformed(expected: string, received: string): QkvError {
  return new QkvError({ code: 'FILE_MALFORMED', operation: 'readLlama2cTokenizer', argument: 'file', expected, received })
}
