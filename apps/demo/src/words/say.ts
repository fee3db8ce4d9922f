/** 0.1234 → `12 %`; what rounds to nothing says so. */
export function percent(weight: number): string {
  return weight > 0 && weight < 0.01 ? '< 1 %' : `${Math.round(100 * weight)} %`
}

/** A token as it can be pointed at in a sentence: spaces at its ends are its own, but not worth showing. */
export function visible(token: string): string {
  return token.trim() === '' ? (token.includes('\n') ? '↵' : '␣') : token.trim()
}

/** The most looked at, e.g. `named 61 %, little 20 %`. */
export function mostLookedAt(tokens: readonly string[], weights: ArrayLike<number>, count = 3): string {
  return Array.from(weights, (weight, index) => ({ weight, index }))
    .sort((a, b) => b.weight - a.weight)
    .slice(0, count)
    .filter(({ weight }) => weight >= 0.01)
    .map(({ weight, index }) => `${visible(tokens[index] ?? '')} ${percent(weight)}`)
    .join(', ')
}
