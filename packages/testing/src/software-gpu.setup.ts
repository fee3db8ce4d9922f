import { chromiumRunsHere, unpackChromium } from './chromium.ts'

/**
 * The global setup of tests on a software GPU. The Vulkan loader and its driver are chosen by the environment that a
 * process starts with, so they are named here, before vitest starts the processes that run tests: SwiftShader, a driver for
 * any CPU that comes with npm's Chromium. A driver chosen by the caller (`VK_ICD_FILENAMES`, as for lavapipe or a real GPU)
 * stays.
 */
export default async function setup(): Promise<void> {
  if (process.env['VK_ICD_FILENAMES'] !== undefined || !chromiumRunsHere) return
  const { vulkanDriver, folder } = await unpackChromium()
  process.env['VK_ICD_FILENAMES'] = vulkanDriver
  process.env['LD_LIBRARY_PATH'] = [folder, process.env['LD_LIBRARY_PATH']].filter(Boolean).join(':')
}
