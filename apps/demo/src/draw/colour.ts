/** Weight 0…1 → how much ink. The square root shows the small weights that softmax leaves everywhere. */
export function ink(weight: number): number {
  return Math.sqrt(Math.min(1, Math.max(0, weight)))
}

/** The colour in which an element writes, as 0…255 each: canvases follow the page's theme by their CSS `color`. */
export function colourOf(element: Element): readonly [number, number, number] {
  const [r = 0, g = 0, b = 0] = (getComputedStyle(element).color.match(/[\d.]+/g) ?? []).map(Number)
  return [r, g, b]
}
