import { quotient, remainder } from './arithmetic.wgsl.ts'
import type { TileShape } from './tiling.ts'

/**
 * `rowMaximum(x, lane)` and `rowSum(x, lane)` of `Rows`, a number for each row of a patch: over the `columns` neighbouring
 * invocations that own the same rows. With subgroups by exchanges between lanes; without, through the workgroup memory of
 * `tile`, whose contents are lost.
 */
export function rowReduction(tile: TileShape, columns: number, subgroups: boolean): string {
  const reduce = subgroups ? byExchange(tile, columns) : byMemory(tile, columns)
  return `alias Rows = array<f32, ${tile.parts}>;
${reduce('rowMaximum', 'x', (a, b) => `max(${a}, ${b})`)}
${reduce('rowSum', 'Rows()', (a, b) => `${a} + ${b}`)}`
}

type Reduce = (fn: string, start: string, combine: (a: string, b: string) => string) => string

function byExchange({ parts }: TileShape, columns: number): Reduce {
  const others = ['quadSwapX(y[r])', 'quadSwapY(y[r])', 'subgroupShuffleXor(y[r], 4u)', 'subgroupShuffleXor(y[r], 8u)']
  const steps = others.slice(0, Math.log2(columns))
  return (fn, _, combine) => `fn ${fn}(x: Rows, lane: i32) -> Rows {
  var y = x;
  for (var r = 0; r < ${parts}; r++) {
    ${steps.map((other) => `y[r] = ${combine('y[r]', other)};`).join('\n    ')}
  }
  return y;
}`
}

function byMemory({ name, groups, parts }: TileShape, columns: number): Reduce {
  const at = (lane: string): string => `${name}[${quotient(lane, 4 * groups)}][four][${remainder(lane, 4 * groups)}]`
  return (fn, start, combine) => `fn ${fn}(x: Rows, lane: i32) -> Rows {
  workgroupBarrier();
  for (var four = 0; four < ${parts / 4}; four++) {
    ${at('lane')} = vec4f(x[4 * four], x[4 * four + 1], x[4 * four + 2], x[4 * four + 3]);
  }
  workgroupBarrier();
  var y = ${start};
  let first = ${quotient('lane', columns)} * ${columns};
  for (var i = first; i < first + ${columns}; i++) {
    for (var four = 0; four < ${parts / 4}; four++) {
      let other = ${at('i')};
      for (var j = 0; j < 4; j++) { y[4 * four + j] = ${combine('y[4 * four + j]', 'other[j]')}; }
    }
  }
  workgroupBarrier();
  return y;
}`
}
