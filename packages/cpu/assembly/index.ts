/** Every kernel is `(record, unit, scratch)`; a kernel's `…Scratch` says how much scratch memory a thread needs for it. */
export { decode, decodeScratch, mergeSplits } from './decode'
export { gradientRows } from './gradient'
export { gradientKeys, gradientKeysScratch } from './gradient-keys'
export { gradientQueries, gradientQueriesScratch } from './gradient-queries'
export { activate, combine, normalise } from './layers'
export { linear, linearRows, linearRowsScratch, linearScratch } from './linear'
export { prefill, prefillScratch } from './prefill'
export { rotate } from './rotate'

/** The first byte after the constants. */
export const end: usize = __heap_base
