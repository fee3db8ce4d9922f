import { swizzled, type TileShape } from './tiles.wgsl.ts'

/**
 * `rowMaximum(x, lane)` and `rowSum(x, lane)`: over the `columns` neighbouring invocations that own the same four rows.
 * With subgroups by exchanges between lanes; without, through the workgroup memory of `tile`, whose contents are lost.
 */
export function rowReduction(tile: TileShape, columns: number, subgroups: boolean): string {
  const steps = [1, 2, 4, 8].filter((step) => step < columns)
  if (subgroups) {
    const tree = (combine: (y: string) => string): string =>
      steps.map((step) => `y = ${combine(`subgroupShuffleXor(y, ${step}u)`)};`).join(' ')
    return `fn rowMaximum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((y) => `max(y, ${y})`)} return y; }
fn rowSum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((y) => `y + ${y}`)} return y; }`
  }
  const store = tile.slots === 1
    ? `${tile.name}00[at] = x;`
    : `if (column < 8) { ${tile.name}00[at] = x; } else { ${tile.name}01[at] = x; }`
  const reduce = (name: string, combine: (y: string) => string): string => `fn ${name}(x: vec4f, lane: i32) -> vec4f {
  let column = lane % ${columns};
  let group = lane / ${columns};
  let at = ${swizzled('group', '(column % 8)')};
  workgroupBarrier();
  ${store}
  workgroupBarrier();
  var y = ${tile.name}00[group * 8];
  for (var i = 1; i < 8; i++) { y = ${combine(`${tile.name}00[group * 8 + i]`)}; }
  ${tile.slots === 1 ? '' : `for (var i = 0; i < 8; i++) { y = ${combine(`${tile.name}01[group * 8 + i]`)}; }`}
  workgroupBarrier();
  return y;
}`
  return `${reduce('rowMaximum', (y) => `max(y, ${y})`)}
${reduce('rowSum', (y) => `y + ${y}`)}`
}
