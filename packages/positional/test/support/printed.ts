/** Numbers as a source printed them, and the half unit of the last digit that they may be off by. */
export function printed(text: string): { value: number; halfUnit: number }[] {
  return text
    .trim()
    .split(/[\s,]+/)
    .map((number) => {
      const [mantissa = '', exponent = '0'] = number.toLowerCase().split('e')
      const decimals = (mantissa.split('.')[1] ?? '').length
      return { value: Number(number), halfUnit: 0.5 * 10 ** (Number(exponent) - decimals) }
    })
}
