import { entryPoints } from './.vitepress/entry-points.mjs'

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  plugin: ['typedoc-plugin-markdown', 'typedoc-vitepress-theme', './.vitepress/package-names.mjs'],
  entryPoints: entryPoints.map(({ source }) => `../packages/${source}`),
  tsconfig: './tsconfig.api.json',
  out: './api',
  docsRoot: '.',
  readme: 'none',
  name: 'Reference',
  router: 'module',
  skipErrorChecking: true,
  excludePrivate: true,
  excludeInternal: true,
  disableSources: true,
  hideBreadcrumbs: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  validation: { rewrittenLink: false, invalidPath: false },
}
