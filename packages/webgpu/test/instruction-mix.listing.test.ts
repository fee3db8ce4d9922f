import { expect, test } from 'vitest'
import { figures } from '../instruction-mix/figures.ts'
import { readListing } from '../instruction-mix/listing.ts'

/** A key loop of two multiply-adds eight times over, a barrier, and a branch around what is rare. */
const printout = `disasm:
	v_fma_f32 v9, v9, v9, v9                              ; of another shader
Compute Shader:
disasm:
BB0:
	v_mov_b32_e32 v0, 0                                   ; before the loop
BB1:
	s_barrier                                             ; bf8a0000
BB2:
	ds_read_b128 v[0:3], v4 offset:16                     ; dbfc0000
	v_fma_f32 v5, v0, v1, v5                              ; d54b0005
	v_dual_fmac_f32 v6, v2, v3 :: v_dual_fmac_f32 v7, v0, v1
	s_cbranch_scc1 BB2                                    ; bf85ffff
	v_mad_u32_u24 v8, v8, v8, v8                          ; an address, no product
	s_cbranch_scc0 BB3
	v_mul_f32_e32 v5, v5, v8
	v_mul_f32_e32 v6, v6, v8
BB3:
	ds_write_b128 v4, v[0:3]
	s_branch BB1
	s_endpgm

*** SHADER STATS ***
VGPRs: 24
Spilled VGPRs: 0
LDS size: 1024
Subgroups per SIMD: 16
`

test('a listing is read as its last shader, loop by loop', () => {
  const { loops, ...resources } = readListing(printout)
  expect(resources).toEqual({ vectorRegisters: 24, spilledRegisters: 0, workgroupBytes: 1024, wavesPerSimd: 16 })
  const [outer, inner] = loops
  expect(inner).toMatchObject({
    parent: 0,
    own: { vector: 2, multiplyAdds: 3, workgroupReads: 1, workgroupAccesses: 1 },
    rare: { vector: 0 },
  })
  expect(outer).toMatchObject({
    parent: undefined,
    own: { vector: 3, multiplyAdds: 0, workgroupAccesses: 1, barriers: 1 },
    rare: { vector: 2 },
  })
})

test('a key loop is weighted by how often the loops inside run', () => {
  const mix = figures(readListing(printout), { trips: [8], multiplyAdds: 24 })
  expect(mix.products).toBe(24)
  expect(mix.keyLoopShare).toBeCloseTo(24 / (8 * 2 + 3))
  expect(mix.slotsPerProduct).toBeCloseTo((8 * 2 + 3 + 8 + 1) / 24)
  expect(mix.usualSlotsPerProduct).toBeCloseTo((8 * 2 + 1 + 8 + 1) / 24)
})

test('code that has other loops than were assumed is refused', () => {
  expect(() => figures(readListing(printout), { trips: [1, 1, 1], multiplyAdds: 24 })).toThrow('no loop has 3 loops inside')
})
