/** A workgroup of `linear` computes a tile of 64 rows by 64 outputs, an invocation a patch of eight by four. Its tiles take 16 KiB. */
export const linearTile = { rows: 64, outputs: 64 } as const
