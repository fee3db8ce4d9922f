import { readFile } from 'node:fs/promises'
import { readLlama2cCheckpoint, readLlama2cTokenizer, type DecoderCheckpoint, type Tokenizer } from '@qkv/transformer'

/** Both files of a model, read from the folder where the command was given. */
export async function readModelFiles(
  checkpointPath: string,
  tokenizerPath: string,
): Promise<{ checkpoint: DecoderCheckpoint; tokenizer: Tokenizer }> {
  const [checkpoint, tokenizer] = await Promise.all([readFile(checkpointPath), readFile(tokenizerPath)])
  return { checkpoint: readLlama2cCheckpoint(checkpoint), tokenizer: readLlama2cTokenizer(tokenizer) }
}
