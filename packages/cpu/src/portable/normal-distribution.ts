/**
 * Φ(x), the share of a standard normal distribution below x, to about 1e-9 of itself: near zero by its series (G.
 * Marsaglia, Evaluating the normal distribution, 2004), in the tails by Laplace's continued fraction.
 */
export function normalDistribution(x: number): number {
  const distance = Math.abs(x)
  if (distance < 3.5) return 0.5 + density(x) * series(x)
  const tail = density(distance) * millsRatio(distance)
  return x < 0 ? tail : 1 - tail
}

function density(x: number): number {
  return Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)
}

/** x + x³/3 + x⁵/(3·5) + x⁷/(3·5·7) + … */
function series(x: number): number {
  let term = x
  let sum = x
  for (let k = 3; Math.abs(term) > 1e-17 * Math.abs(sum); k += 2) {
    term *= (x * x) / k
    sum += term
  }
  return sum
}

/** The tail beyond x by the density at x: 1/(x + 1/(x + 2/(x + 3/(x + …)))) */
function millsRatio(x: number): number {
  let fraction = x
  for (let k = 40; k > 0; k--) fraction = x + k / fraction
  return 1 / fraction
}
