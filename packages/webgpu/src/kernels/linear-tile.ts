/**
 * A workgroup of `linear` computes a tile of rows by outputs, an invocation a patch of eight by four, with `depth` elements of the
 * inputs staged at a time. Its tiles take 16 KiB.
 */
export const linearTile = { rows: 64, outputs: 64, depth: 32 } as const
