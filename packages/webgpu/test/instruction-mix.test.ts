import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sharedFolder } from '@qkv/testing/shared-folder'
import { describe, expect, test } from 'vitest'
import { prefill } from '../src/kernels/prefill.wgsl.ts'
import { planColumns } from '../src/snippets/tiles.wgsl.ts'
import { plainPrefill, tiles } from './support/specs.ts'

/**
 * What a GPU would run: prefill compiled by Mesa's compiler for two families of AMD GPUs, without the GPU. Needs a tool
 * that is kept beside the repository, gcc and Mesa's Vulkan drivers; skipped where they are absent.
 */
const tool = sharedFolder('tools/shader-isa/shader-isa.mjs')

interface Mix {
  readonly fma?: number
  readonly lds?: number
  readonly lds128?: number
  readonly valuTotal: number
}

interface Loop {
  readonly depth: number
  readonly mix: Mix
}

interface Report {
  readonly vgprs: number
  readonly spilledVgprs: number
  readonly wavesPerSimd: number
  readonly loops: readonly Loop[]
}

describe.skipIf(tool === undefined)('instruction mix of prefill', { timeout: 300_000 }, () => {
  for (const family of ['navi21', 'gfx1100']) {
    for (const headDim of [64, 128] as const) {
      test(`head size ${headDim} on ${family}: most instructions multiply and add`, ({ skip }) => {
        const report = compile(prefill.code(plainPrefill(headDim, tiles[headDim])), family)
        if (typeof report === 'string') return skip(report)
        const inner = report.loops.filter(({ mix }) => (mix.fma ?? 0) >= 64 && mix === innermost(report, mix))
        for (const { mix } of inner) expect((mix.fma ?? 0) / mix.valuTotal).toBeGreaterThanOrEqual(0.9)
        expect((inner[0]?.mix.fma ?? 0) / (inner[0]?.mix.lds128 ?? 0), 'multiply-adds per read of workgroup memory').toBeGreaterThanOrEqual(8)
        const whole = keyLoop(report, headDim)
        console.log(`${family}, ${headDim}: ${(whole.fma / whole.valu).toFixed(2)} of the key loop, ${((whole.valu + whole.lds) / whole.fma).toFixed(2)} issue slots per multiply-add, ${report.vgprs} registers`)
        expect(whole.fma / whole.valu, 'over the whole key loop').toBeGreaterThanOrEqual(0.75)
        expect(report.spilledVgprs).toBe(0)
        expect(report.wavesPerSimd).toBeGreaterThanOrEqual(4)
      })
    }
  }
})

function compile(code: string, family: string): Report | string {
  const folder = mkdtempSync(join(tmpdir(), 'instruction-mix-'))
  const file = join(folder, 'kernel.wgsl')
  writeFileSync(file, code)
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [tool!, '--family', family, '--json', file], {
      cwd: fileURLToPath(new URL('..', import.meta.url)), encoding: 'utf8',
    })
    if (status !== 0) return `cannot compile for ${family} here: ${/Error: (.*)/.exec(stderr)?.[1] ?? stderr.slice(0, 200)}`
    return (JSON.parse(stdout) as Record<string, Report>)[file] ?? 'no report'
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** The deepest loop's own mix: a loop that holds another is not innermost. */
function innermost({ loops }: Report, mix: Mix): Mix | undefined {
  const at = loops.findIndex((loop) => loop.mix === mix)
  const holdsOther = loops.slice(0, at).some((other) => other.depth > (loops[at]?.depth ?? 0) && (other.mix.fma ?? 0) >= 64)
  return holdsOther ? undefined : mix
}

/** All instructions of one turn of the loop over key tiles, inner loops as often as they run, masking included. */
function keyLoop({ loops }: Report, headDim: 64 | 128): { fma: number; valu: number; lds: number } {
  const outer = loops.find(({ depth, mix }) => depth === 0 && (mix.fma ?? 0) > 0)
  if (outer === undefined) throw new Error('no loop over key tiles')
  const { columns, depth } = tiles[headDim]
  const { groups, phases } = planColumns({ name: '', groups: columns, slots: depth / 32 }, headDim / 4)
  const products = loops.filter((loop) => loop !== outer && (loop.mix.fma ?? 0) >= 64)
  const nested = products.findIndex(({ depth }) => depth === 2)
  const phaseLoop = nested < 0 ? undefined : products[nested + 1] // loops are listed by where they end
  const total = { fma: 0, valu: 0, lds: 0 }
  const add = ({ fma = 0, lds = 0, lds128 = 0, valuTotal }: Mix, times: number): void => {
    total.fma += times * fma
    total.valu += times * valuTotal
    total.lds += times * (lds + lds128)
  }
  add(outer.mix, 1)
  if (phaseLoop) add(phaseLoop.mix, phases - 1)
  for (const loop of products) {
    if (loop === phaseLoop) continue
    const turns = loop.depth === 2 ? phases * (groups - 1) : (!phaseLoop && loop === products.at(-1) ? groups : 8) - 1
    add(loop.mix, turns)
  }
  return total
}
