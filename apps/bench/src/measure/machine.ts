import { cpus, loadavg, release, totalmem, type } from 'node:os'
import type { Machine } from '../report/report.ts'

/** The machine as Node sees it, which knows no GPU. */
export function describeMachine(): Machine {
  const processors = cpus()
  return {
    processor: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    runtime: `Node ${process.versions.node}, V8 ${process.versions.v8}`,
    adapter: undefined,
    load: loadavg()[0],
  }
}
