import type { Plugin } from 'vite'
import { withCompactText } from '../tsup/compact-wgsl.ts'

/** Shaders as they are built, so that those are what is tested. */
export function compactWgsl(): Plugin {
  return {
    name: 'compact-wgsl',
    enforce: 'pre',
    transform: (code, id) => (id.endsWith('.wgsl.ts') ? { code: withCompactText(code), map: null } : null),
  }
}
