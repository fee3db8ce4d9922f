/** From −127 to 127, of which every eighth is 127. */
export function wholeNumbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => (index % 8 === 0 ? 127 : ((index * 37) % 255) - 127))
}
