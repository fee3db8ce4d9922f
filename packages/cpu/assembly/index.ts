export { prefill, prefillScratch } from './prefill'
export { decode, decodeScratch, mergeSplits } from './decode'

/** The first byte after the constants. */
export const end: usize = __heap_base
