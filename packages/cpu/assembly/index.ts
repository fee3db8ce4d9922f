/** Every kernel is `(record, unit, scratch)`; a kernel's `…Scratch` says how much scratch memory a thread needs for it. */
export { copy, copyScratch, gather } from './copy'
export { decode, decodeScratch, mergeSplits } from './decode'
export { gradientRows } from './gradient-rows'
export { gradientKeys, gradientKeysScratch } from './gradient-keys'
export { gradientQueries, gradientQueriesScratch } from './gradient-queries'
export { gradientSums, gradientSumsScratch } from './gradient-sums'
export { activate, activateScratch, combine, combineScratch } from './elementwise'
export { linear, linearRows, linearRowsScratch, linearScratch } from './linear'
export { merge, mergeScratch } from './merge'
export { normalise, normaliseScratch } from './normalise'
export { prefill, prefillScratch } from './prefill'
export { quantize, quantizeScratch } from './quantize'
export { rotate, rotateScratch } from './rotate'

/** The first byte after the constants. */
export const end: usize = __heap_base
