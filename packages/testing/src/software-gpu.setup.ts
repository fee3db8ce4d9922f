import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'

/**
 * The global setup of tests on a software GPU. The Vulkan loader and its driver are chosen by the environment that a
 * process starts with, so they are named here, before vitest starts the processes that run tests. A driver chosen by
 * the caller (`VK_ICD_FILENAMES`, as for lavapipe or a real GPU) stays.
 */
export default function setup(): void {
  if (process.env['VK_ICD_FILENAMES'] !== undefined) return
  const driver = unpackedSwiftShader()
  process.env['VK_ICD_FILENAMES'] = join(driver, 'vk_swiftshader_icd.json')
  process.env['LD_LIBRARY_PATH'] = [driver, process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':')
}

/** The folder of SwiftShader, a Vulkan driver for any CPU, and a Vulkan loader. They come with an npm package's Chromium. */
function unpackedSwiftShader(): string {
  const folder = join(repository, 'node_modules', '.cache', 'swiftshader')
  if (existsSync(folder)) return folder
  const archive = join(dirname(createRequire(import.meta.url).resolve('@sparticuz/chromium')), '..', '..', 'bin', 'swiftshader.tar.br')
  const partial = `${folder}.${process.pid}`
  mkdirSync(partial, { recursive: true })
  const { status, stderr } = spawnSync('tar', ['-x', '-C', partial], { input: brotliDecompressSync(readFileSync(archive)) })
  if (status !== 0) throw new Error(`tar could not unpack ${archive}: ${String(stderr)}`)
  rmSync(folder, { recursive: true, force: true })
  renameSync(partial, folder) // at once, so that nobody meets half a driver
  return folder
}

const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
