import { QkvError, describe } from '@qkv/core'
import type { ArgsDef, ParsedArgs } from 'citty'

export const options = {
  prompt: { type: 'positional', default: '', description: 'How the text begins' },
  checkpoint: { type: 'string', required: true, valueHint: 'model.bin', description: 'llama2.c checkpoint, version 0' },
  tokenizer: { type: 'string', required: true, valueHint: 'tokenizer.bin', description: 'Its tokenizer' },
  steps: { type: 'string', valueHint: 'n', description: 'How many tokens to write (default: until the text or the context ends)' },
  temperature: { type: 'string', default: '0', valueHint: 't', description: '0 takes the likeliest token; higher is freer' },
  'top-p': { type: 'string', default: '1', valueHint: 'p', description: 'Draw from the likeliest tokens that make up this share' },
  seed: { type: 'string', default: '0', valueHint: 'n', description: 'The same seed draws the same text' },
  backend: { type: 'enum', options: ['auto', 'cpu', 'webgpu'], default: 'auto', description: 'What computes' },
  cache: {
    type: 'boolean',
    default: true,
    description: 'Keep keys and values',
    negativeDescription: 'Compute them anew for each token',
  },
  heads: { type: 'boolean', default: false, description: 'Measure what every head does, instead of writing' },
} as const satisfies ArgsDef

export type Options = ParsedArgs<typeof options>

/** @throws QkvError `OPTION_INVALID` where an option's text is no number. */
export function numberOption(name: string, text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && !Number.isNaN(number)) return number
  throw new QkvError({
    code: 'OPTION_INVALID',
    operation: 'generate',
    argument: `--${name}`,
    expected: 'a number',
    received: describe(text),
  })
}
