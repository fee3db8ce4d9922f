import { Converter, ReflectionKind } from 'typedoc'

/** Calls modules in the reference by what one imports: `attention/src/auto` is `@qkv/attention/auto`. */
export function load(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_context, reflection) => {
    if (reflection.kindOf(ReflectionKind.Module))
      reflection.name = `@qkv/${reflection.name.replace('/src', '').replace(/\/index$/, '')}`
  })
}
