/** What a way to reach beyond the trained length makes of rotary frequencies. */
export interface Scaling {
  /** [dim/2] radians per position, for a sequence of `contextLength` tokens; many ways do not look at it. */
  frequencies(contextLength: number): Float64Array
  /** Multiplies queries and keys. */
  readonly attentionFactor: number
}

/** What every scaling starts from. */
export interface Frequencies {
  readonly dim: number
  readonly base: number
}
