import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compile, families, type Family } from '../instruction-mix/compiler.ts'
import { figures, type Figures, type Work } from '../instruction-mix/figures.ts'
import { measuredKernels } from '../instruction-mix/kernels.ts'
import type { Listing } from '../instruction-mix/listing.ts'
import { peerShaders } from '../instruction-mix/peer.ts'

/** What a GPU would run of our kernels, compiled for it without it; `instruction-mix/README.md` says how to have a compiler. */
const { QKV_SHADER_COMPILER: compiler, QKV_PEER_SHADERS: peerFolder, QKV_RECORD: record } = process.env
const peers = peerFolder === undefined ? [] : peerShaders(peerFolder)
const kernels = measuredKernels()
const results: (Figures & { readonly shader: string; readonly family: Family })[] = []

for (const family of families) {
  describe.skipIf(compiler === undefined)(`compiled for ${family}`, () => {
    let compiled = new Map<string, Listing>()
    beforeAll(() => {
      compiled = compile(compiler ?? '', new Map([...kernels, ...peers].map(({ name, code }) => [name, code])), family)
    }, 1_800_000)

    const measured = (name: string, work: Work): Figures => {
      const listing = compiled.get(name)
      if (listing === undefined) throw new Error(`${name} was not compiled`)
      const known = results.find((result) => result.shader === name && result.family === family)
      if (known !== undefined) return known
      const result = { shader: name, family, ...figures(listing, work) }
      results.push(result)
      return result
    }

    for (const { name, kernel, work } of kernels) {
      /* Mesa 22 gives RDNA 3 no more than 132 registers, where newer ones give 256; with those this fails and says so. */
      const claim = family === 'gfx1100' && kernel === 'prefill' ? test.fails : test
      claim(`${name}: ${kernel === 'decode' ? 'registers hold it' : 'most instructions multiply and add'}`, () => {
        const mix = measured(name, work)
        expect(mix.spilledRegisters).toBe(0)
        expect(mix.wavesPerSimd).toBeGreaterThanOrEqual(4)
        expect(mix.workgroupBytes).toBeLessThanOrEqual(32768)
        if (kernel === 'decode') return
        expect(mix.products, 'multiply-adds of product loops, by the trips that are assumed').toBe(work.multiplyAdds)
        for (const share of mix.productShares) expect(share, 'of each product loop').toBeGreaterThanOrEqual(0.9)
        for (const products of mix.productsPerRead) expect(products, 'for each read of workgroup memory').toBeGreaterThanOrEqual(8)
        expect(mix.keyLoopShare, 'of the whole key loop').toBeGreaterThanOrEqual(0.75)
      })
    }

    for (const peer of peers) {
      /* Not of halves on RDNA 2: theirs are summed in float16, two products an instruction, ours in float32. */
      const claim = family === 'navi21' && peer.name.endsWith('float16') ? test.fails : test
      claim(`prefill needs half the instructions of ${peer.name}`, () => {
        const ours = kernels.find(
          ({ name }) => name === peer.name.replace('peer', family === 'navi21' ? 'prefill' : 'prefill-small'),
        )
        if (ours === undefined) throw new Error(`nothing of ours to compare ${peer.name} with`)
        const ratio =
          measured(peer.name, peer.work(family)).usualSlotsPerProduct / measured(ours.name, ours.work).usualSlotsPerProduct
        expect(ratio).toBeGreaterThanOrEqual(2)
      })
    }
  })
}

afterAll(() => {
  if (results.length === 0) return
  console.table(Object.fromEntries(results.map(({ shader, family, ...mix }) => [`${shader} ${family}`, row(mix)])))
  if (record === undefined) return
  const file = new URL('../instruction-mix/results.json', import.meta.url)
  const rounded = JSON.stringify(
    { compiler: record, date: new Date().toISOString().slice(0, 10), results },
    (_, value: unknown) => (typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value),
    1,
  )
  writeFileSync(file, `${rounded.replace(/\[\n\s+([\d.,\s]+?)\n\s+\]/g, (_, list: string) => `[${list.replace(/\s+/g, ' ')}]`)}\n`)
})

function row(mix: Figures): Record<string, string | number> {
  return {
    'product loops': mix.productShares.map((share) => share.toFixed(2)).join(' '),
    'key loop': mix.keyLoopShare.toFixed(2),
    'slots/product': mix.slotsPerProduct.toFixed(2),
    usual: mix.usualSlotsPerProduct.toFixed(2),
    registers: mix.vectorRegisters,
    spilled: mix.spilledRegisters,
    waves: mix.wavesPerSimd,
  }
}
