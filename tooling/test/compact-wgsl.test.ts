import { expect, test } from 'vitest'
import { withCompactText } from '../tsup/compact-wgsl.ts'

test('WGSL loses comments and the spaces that nothing needs, also beside what is put into it', () => {
  const written = [
    'const shader = `',
    '/* Twice as much,',
    '   of course. */',
    'fn twice(x: f32) -> ${type} {',
    '  var ${kind} ${name} = ${ x } * 2.0 - 1.0 - ${ y };',
    '  return y;',
    "}` + (after ? ' + after' : 'let  none')",
  ].join('\n')
  expect(withCompactText(written)).toBe(
    "const shader = ` fn twice(x:f32)->${type}{var ${kind} ${name}=${ x }*2.0-1.0 - ${ y };return y;}` + (after ? '+after' : 'let none')",
  )
})
