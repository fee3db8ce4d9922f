import { QkvError } from '@qkv/core'
import type { Decoder } from '../decoder/decoder.ts'
import type { Tokenizer } from '../tokenizer/tokenizer.ts'
import { generate, type GeneratedToken, type GenerateOptions } from './generate.ts'

export interface GeneratedText extends GeneratedToken {
  /** What the token adds to the text: empty while a character is still arriving, which `steps` may cut off. */
  readonly text: string
}

/**
 * Writes on from a text and ends where the tokenizer's texts end.
 *
 *     for await (const { text } of generateText(model, tokenizer, 'Once upon a time')) …
 *
 * @throws QkvError as {@link generate} does; `OPTION_INVALID` for a tokenizer of another vocabulary.
 */
export async function* generateText(
  model: Decoder,
  tokenizer: Tokenizer,
  prompt: string,
  options: Omit<GenerateOptions, 'endTokens'> = {},
): AsyncGenerator<GeneratedText, void, undefined> {
  if (tokenizer.size !== model.sizes.vocabularySize) {
    throw new QkvError({
      code: 'OPTION_INVALID',
      operation: 'generateText',
      argument: 'tokenizer',
      expected: `one of ${model.sizes.vocabularySize} tokens, as the model has`,
      received: `${tokenizer.size} tokens`,
    })
  }
  const tokens = tokenizer.encode(prompt)
  const decoder = tokenizer.streamDecoder()
  tokens.forEach((token) => decoder.push(token))
  for await (const { token, position, maps } of generate(model, tokens, { ...options, endTokens: tokenizer.endTokens })) {
    yield { token, position, maps, text: decoder.push(token) }
  }
}
