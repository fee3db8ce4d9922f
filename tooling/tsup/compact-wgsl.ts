import { readFile } from 'node:fs/promises'
import type { Options } from 'tsup'
import ts from 'typescript'

/** Leaves the comments and most of the spaces of WGSL, the text of `*.wgsl.ts`, out of what is built. */
export function compactWgsl(): NonNullable<Options['esbuildPlugins']>[number] {
  return {
    name: 'compact-wgsl',
    setup({ onLoad }) {
      onLoad({ filter: /\.wgsl\.ts$/ }, async ({ path }) => ({
        contents: withCompactText(await readFile(path, 'utf8')),
        loader: 'ts',
      }))
    },
  }
}

export function withCompactText(code: string): string {
  const texts: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteral(node) || ts.isTemplateLiteralToken(node)) texts.push(node)
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('', code, ts.ScriptTarget.Latest, true))
  let rest = code
  for (const text of texts.toReversed()) {
    const closes = ts.isTemplateHead(text) || ts.isTemplateMiddle(text) ? '${'.length : '`'.length
    const [start, end] = [text.getStart() + 1, text.getEnd() - closes]
    rest = rest.slice(0, start) + compact(rest.slice(start, end)) + rest.slice(end)
  }
  return rest
}

/**
 * What may stand beside anything loses the spaces around it; all others become one. A minus keeps them where something is put
 * after it, which may be negative.
 */
function compact(wgsl: string): string {
  return wgsl
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([{}();,:=+*/<>|&!%]) ?/g, '$1')
    .replaceAll(/ - (?=[\w(])/g, '-')
}
