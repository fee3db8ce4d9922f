/** The header's seven numbers, in its order. */
export const tinySizes = { modelDim: 8, hiddenDim: 12, layers: 2, heads: 2, kvHeads: 1, vocabularySize: 5, contextLength: 6 }

/** A llama2.c checkpoint whose floats are `value(0)`, `value(1)`, …: by default they count themselves. */
export function checkpointFile(
  sizes: typeof tinySizes,
  options: { separateHead?: boolean; value?: (index: number) => number } = {},
): Uint8Array<ArrayBuffer> {
  const { modelDim, hiddenDim, layers, heads, kvHeads, vocabularySize, contextLength } = sizes
  const { separateHead = false, value = (index: number) => index } = options
  const headDim = modelDim / heads
  const block = 2 * modelDim + 2 * modelDim ** 2 + 2 * kvHeads * headDim * modelDim + 3 * hiddenDim * modelDim
  const heading = separateHead ? 2 : 1
  const count = heading * vocabularySize * modelDim + layers * block + modelDim + contextLength * headDim
  const header = Int32Array.from([
    modelDim,
    hiddenDim,
    layers,
    heads,
    kvHeads,
    separateHead ? -vocabularySize : vocabularySize,
    contextLength,
  ])
  const floats = Float32Array.from({ length: count }, (_, index) => value(index))
  const file = new Uint8Array(header.byteLength + floats.byteLength)
  file.set(new Uint8Array(header.buffer))
  file.set(new Uint8Array(floats.buffer), header.byteLength)
  return file
}
