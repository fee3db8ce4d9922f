import { Converter, ReflectionKind } from 'typedoc'
import { entryPoints } from './entry-points.mjs'

const names = new Map(entryPoints.map(({ name, source }) => [moduleOf(source), name]))

/** Calls modules in the reference by what one imports: `attention/src/latent-attention` is `@qkv/attention/latent`. */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (!reflection.kindOf(ReflectionKind.Module)) return
    const name = names.get(moduleOf(reflection.name))
    if (name === undefined) throw new Error(`no package exports ${reflection.name}`)
    reflection.name = name
  })
}

function moduleOf(source) {
  return source.replace(/\.ts$/, '').replace(/\/index$/, '')
}
