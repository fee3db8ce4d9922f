/** The twin of core's `visibility`: which keys causality, window and length leave to a query. */
export const visibility = `
fn positionOf(row: i32, validKeys: i32) -> i32 {
  return row + parameters.lowerRight * (validKeys - parameters.queryLength);
}
fn firstKey(position: i32, validKeys: i32) -> i32 { return clamp(position - parameters.left, 0, validKeys); }
fn endKey(position: i32, validKeys: i32) -> i32 { return clamp(position + parameters.right + 1, 0, validKeys); }`

export const visibilityParameters = {
  queryLength: 'i32',
  keyLength: 'i32',
  /** Keys to either side, `unbounded` where there is no limit. */
  left: 'i32',
  right: 'i32',
  /** 1 where the last row stands at the last valid key, 0 where row 0 stands at key 0. */
  lowerRight: 'i32',
} as const

/** More keys than any buffer holds, small enough that adding a position to it does not overflow. */
export const unbounded: number = 2 ** 30
