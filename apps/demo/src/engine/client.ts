import { wrap, type Remote } from 'comlink'
import type { Engine } from './engine.ts'

/** The page's one worker. All heavy work happens there, so the page never waits. */
export const engine: Remote<Engine> = wrap<Engine>(new Worker(new URL('./engine.worker.ts', import.meta.url), { type: 'module' }))
