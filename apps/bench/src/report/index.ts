export { cacheTable, htmlParts, type HtmlParts } from './html.ts'
export { machineLine } from './markdown.ts'
export type * from './report.ts'
