/** Text and lines take the page's colour, so that pictures suit light and dark. */
export function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" ` +
    `style="max-width:100%;height:auto" role="img" font-family="system-ui,sans-serif" font-size="11" fill="currentColor">` +
    `<title>${escape(title)}</title>${parts.join('')}</svg>`
  )
}

export function text(x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end' = 'start'): string {
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}">${escape(words)}</text>`
}

export function rectangle(x: number, y: number, width: number, height: number, colour: string): string {
  return `<rect x="${round(x)}" y="${round(y)}" width="${round(width)}" height="${round(height)}" fill="${colour}"/>`
}

export function polyline(points: readonly (readonly [x: number, y: number])[], colour: string): string {
  const corners = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ')
  return `<polyline points="${corners}" fill="none" stroke="${colour}" stroke-width="1.6"/>`
}

export function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<line x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}" stroke="currentColor" stroke-opacity="0.35"/>`
}

/** Colours that people who see few of them tell apart (Okabe and Ito). */
export const colours: readonly string[] = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#999999', '#f0e442']

export function round(value: number): number {
  return Math.round(value * 100) / 100
}

function escape(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')
}
