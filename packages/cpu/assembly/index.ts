export { prefill, prefillScratch } from './prefill'

/** The first byte after the constants. */
export const end: usize = __heap_base
