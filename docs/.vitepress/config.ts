import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { defineConfig, type DefaultTheme } from 'vitepress'
import { pagesOf } from './pages.ts'

const reference = fileURLToPath(new URL('../api/typedoc-sidebar.json', import.meta.url))

export default defineConfig({
  title: 'QKV',
  description: 'Exact attention for JavaScript',
  lang: 'en',
  cleanUrls: true,
  outDir: 'dist',
  cacheDir: 'node_modules/.cache/vitepress',
  srcExclude: ['README.md', 'node_modules/**', 'dist/**', 'test/**'],
  themeConfig: {
    search: { provider: 'local' },
    outline: [2, 3],
    nav: [
      { text: 'Guide', link: '/guide/what-attention-is', activeMatch: '/guide/' },
      { text: 'Positions', link: '/positional/', activeMatch: '/positional/' },
      { text: 'Reference', link: '/api/', activeMatch: '/api/' },
      { text: 'Benchmarks', link: '/benchmarks' },
      { text: 'Decisions', link: '/decisions/', activeMatch: '/decisions/' },
    ],
    sidebar: {
      '/guide/': [{ text: 'Guide', items: pagesOf('guide') }],
      '/positional/': [{ text: 'Positions', items: pagesOf('positional') }],
      '/decisions/': [{ text: 'Decisions', items: pagesOf('decisions') }],
      '/api/': existsSync(reference) ? (JSON.parse(readFileSync(reference, 'utf8')) as DefaultTheme.SidebarItem[]) : [],
    },
  },
})
