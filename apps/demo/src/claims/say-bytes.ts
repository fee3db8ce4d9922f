const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** 1536 → `1.5 KiB` */
export function sayBytes(bytes: number): string {
  const step = bytes === 0 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const amount = bytes / 1024 ** step
  return `${amount >= 100 || Number.isInteger(amount) ? Math.round(amount) : amount.toFixed(1)} ${units[step]}`
}
