import { readFile } from 'node:fs/promises'
import type { Options } from 'tsup'
import ts from 'typescript'

/** Leaves the comments and most of the spaces of WGSL, text in templates of `*.wgsl.ts`, out of what is built. */
export function compactWgsl(): NonNullable<Options['esbuildPlugins']>[number] {
  return {
    name: 'compact-wgsl',
    setup({ onLoad }) {
      onLoad({ filter: /\.wgsl\.ts$/ }, async ({ path }) => ({
        contents: withCompactTemplates(await readFile(path, 'utf8')),
        loader: 'ts',
      }))
    },
  }
}

export function withCompactTemplates(code: string): string {
  const templates: ts.Node[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isNoSubstitutionTemplateLiteral(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)) {
      templates.push(node)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('', code, ts.ScriptTarget.Latest, true))
  let rest = code
  for (const template of templates.toReversed()) {
    const closes = ts.isTemplateHead(template) || ts.isTemplateMiddle(template) ? '${'.length : '`'.length
    const [start, end] = [template.getStart() + 1, template.getEnd() - closes]
    rest = rest.slice(0, start) + compact(rest.slice(start, end)) + rest.slice(end)
  }
  return rest
}

/** What may stand beside anything loses the spaces around it; all others become one. */
function compact(wgsl: string): string {
  return wgsl
    .replaceAll(/\/\*[\s\S]*?\*\//g, '')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/ ?([{}();,:]) ?/g, '$1')
}
