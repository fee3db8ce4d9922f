import { quotient, remainder, swizzled, type TileShape } from './tiles.wgsl.ts'

/**
 * `rowMaximum(x, lane)` and `rowSum(x, lane)`: over the `columns` neighbouring invocations that own the same four rows.
 * With subgroups by exchanges between lanes; without, through the workgroup memory of `tile`, whose contents are lost.
 */
export function rowReduction({ name, slots }: TileShape, columns: number, subgroups: boolean): string {
  if (subgroups) {
    const steps = [1, 2, 4, 8].filter((step) => step < columns)
    const tree = (combine: (y: string) => string): string =>
      steps.map((step) => `y = ${combine(`subgroupShuffleXor(y, ${step}u)`)};`).join(' ')
    return `fn rowMaximum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((other) => `max(y, ${other})`)} return y; }
fn rowSum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((other) => `y + ${other}`)} return y; }`
  }
  const reduce = (fn: string, combine: string): string => `fn ${fn}(x: vec4f, lane: i32) -> vec4f {
  let column = ${remainder('lane', columns)};
  let group = ${quotient('lane', columns)};
  workgroupBarrier();
  ${name}[0][${swizzled('group', 'column', 8 * slots)}] = x;
  workgroupBarrier();
  var y = ${name}[0][group * ${columns}];
  for (var i = 1; i < ${columns}; i++) { y = ${combine}(y, ${name}[0][group * ${columns} + i]); }
  workgroupBarrier();
  return y;
}`
  return `fn sum(a: vec4f, b: vec4f) -> vec4f { return a + b; }
${reduce('rowMaximum', 'max')}
${reduce('rowSum', 'sum')}`
}
