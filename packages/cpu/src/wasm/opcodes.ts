/**
 * The instructions of a program, by number. The kernels import this very file; `assembly/expression.ts` says what a
 * program looks like.
 */
export const score = 0
export const index = 1
export const constant = 2
/** The same for every key: what one vector holds, written out. */
export const spread = 3
export const captureFloat = 4
export const captureInt = 5
export const select = 6

export const floatNegate = 10
export const floatAbsolute = 11
export const intNegate = 12
export const intAbsolute = 13
export const exp = 14
export const log = 15
export const tanh = 16
export const floor = 17
export const not = 18
export const toFloat = 19
export const toInt = 20

export const floatAdd = 30
export const floatSubtract = 31
export const floatMultiply = 32
export const floatDivide = 33
export const floatFloorDivide = 34
export const floatModulo = 35
export const floatMinimum = 36
export const floatMaximum = 37
export const floatEqual = 38
export const floatNotEqual = 39
export const floatLess = 40
export const floatLessOrEqual = 41
export const floatGreater = 42
export const floatGreaterOrEqual = 43

export const intAdd = 50
export const intSubtract = 51
export const intMultiply = 52
export const intFloorDivide = 54
export const intModulo = 55
export const intMinimum = 56
export const intMaximum = 57
export const intEqual = 58
export const intNotEqual = 59
export const intLess = 60
export const intLessOrEqual = 61
export const intGreater = 62
export const intGreaterOrEqual = 63
export const and = 70
export const or = 71

/** What `index` gives. */
export const batch = 0
export const head = 1
export const query = 2
export const key = 3
export const row = 4
