import { readFileSync } from 'node:fs'
import { QkvError } from '@qkv/core'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { readLlama2cTokenizer } from '@qkv/transformer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { tokenizerFile, type Piece } from './support/tokenizer-file.ts'

const path = sharedFolder('models/stories260k/tok512.bin')

describe('a vocabulary made for the test', () => {
  const pieces: Piece[] = [
    [' ', -9],
    ['a', -10],
    ['b', -11],
    ['c', -12],
    ['ab', -2],
    ['bc', -1],
    [' a', -4],
    ['é', -13],
  ]
  const tokenizer = readLlama2cTokenizer(tokenizerFile(pieces))
  const token = (text: string): number => 259 + pieces.findIndex(([piece]) => piece === text)

  test('the pair with the highest score merges first', () => {
    expect(tokenizer.encode('abc')).toEqual([1, token(' a'), token('bc')])
  })

  test('of equal pairs the leftmost merges first', () => {
    const equal = readLlama2cTokenizer(
      tokenizerFile([
        [' ', -2],
        ['a', -2],
        ['aa', -1],
      ]),
    )
    expect(equal.encode('aaa')).toEqual([1, 259, 261, 260])
  })

  test('what the vocabulary lacks is spelled in bytes', () => {
    expect(tokenizer.encode('€')).toEqual([1, token(' '), ...[0xe2, 0x82, 0xac].map((byte) => byte + 3)])
  })

  test('the space before a text goes, any other stays', () => {
    expect(tokenizer.decode([1, token(' a'), token(' a')])).toBe('a a')
    expect(tokenizer.decode([token(' a')])).toBe(' a')
  })

  test('a character arrives with its last byte', () => {
    const stream = tokenizer.streamDecoder()
    expect([1, 0xe2 + 3, 0x82 + 3, 0xac + 3].map(stream.push)).toEqual(['', '', '', '€'])
    expect(stream.end()).toBe('')
  })

  test('a character that never completes is �', () => {
    const stream = tokenizer.streamDecoder()
    expect(stream.push(0xe2 + 3) + stream.end()).toBe('�')
  })

  test('text that spells a control token is text', () => {
    expect(tokenizer.encode('\n</s>\n<0x41>')).not.toContain(2)
    expect(tokenizer.decode(tokenizer.encode('\n</s>\n<0x41>'))).toBe('\n</s>\n<0x41>')
  })

  test('any text survives the round trip', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.oneof(fc.constantFrom('a', 'b', 'c', ' ', 'é'), fc.string({ unit: 'grapheme', maxLength: 3 })) }),
        (text) => {
          expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
        },
      ),
    )
  })

  test('a text of 100,000 characters takes no quadratic time', () => {
    const text = 'abc ab '.repeat(15_000)
    const start = performance.now()
    const tokens = tokenizer.encode(text)
    expect(performance.now() - start).toBeLessThan(5000)
    expect(tokenizer.decode(tokens)).toBe(text)
  })
})

describe('a file that is no tokenizer is refused', () => {
  const file = tokenizerFile([[' a', -1]])

  test('cut anywhere but between two tokens', () => {
    for (const length of [0, 3, 4, 11, file.length - 1, file.length - 3, file.length - 9]) {
      expect(() => readLlama2cTokenizer(file.slice(0, length)), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'FILE_MALFORMED', argument: 'file' }),
      )
    }
  })

  test('a token that claims more bytes than there are', () => {
    const lying = file.slice()
    new DataView(lying.buffer).setInt32(8, 0x7fffffff, true)
    expect(() => readLlama2cTokenizer(lying)).toThrow(/2147483647 more bytes for token 0/)
    new DataView(lying.buffer).setInt32(8, -1, true)
    expect(() => readLlama2cTokenizer(lying)).toThrow(/a count ≥ 0 for token 0; received -1/)
  })

  test('something else entirely', () => {
    const error = catchError(() => readLlama2cTokenizer('tok512.bin' as unknown as Uint8Array))
    expect(QkvError.is(error) && error.code).toBe('OPTION_INVALID')
  })
})

describe.skipIf(path === undefined)('the tokenizer of stories260K', () => {
  const tokenizer = readLlama2cTokenizer(readFileSync(path ?? ''))

  test('has the words of its stories as tokens', () => {
    expect(tokenizer.size).toBe(512)
    // Once upon a time: the file lists " Once" as token 403, " upon" as 407 and " a" as 261.
    expect(tokenizer.encode('Once upon a').slice(0, 4)).toEqual([1, 403, 407, 261])
  })

  test('writes back what it reads', () => {
    for (const text of ['Once upon a time', ' two  spaces ', '"It’s 5 €," said Zoë.\n\n— 你好 👋🏽', '', ' ']) {
      expect(tokenizer.decode(tokenizer.encode(text))).toBe(text)
    }
  })
})

function catchError(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
