/** Weight 0…1 → opacity of the ink. The square root shows the small weights that softmax leaves everywhere. */
export function ink(weight: number): number {
  return Math.sqrt(Math.min(1, Math.max(0, weight)))
}

/** The page's ink as numbers, from its `--ink` custom property (`r g b`). */
export function inkColour(element: Element): readonly [number, number, number] {
  const [r = 0, g = 0, b = 0] = getComputedStyle(element).getPropertyValue('--ink').trim().split(/\s+/).map(Number)
  return [r, g, b]
}
