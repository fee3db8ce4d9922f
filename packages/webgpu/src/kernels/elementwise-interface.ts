/** What `elementwise` does, by its number: one pipeline does them all. */
export const elementwiseOperations = ['add', 'multiply', 'relu', 'silu', 'gelu', 'gelu-tanh'] as const

export type ElementwiseOperation = (typeof elementwiseOperations)[number]
