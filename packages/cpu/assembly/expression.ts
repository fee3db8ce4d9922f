export function evaluate(program: usize, problem: usize, panel: usize, s: usize, firstKey: i32, keys: i32, registers: usize): usize { return s }
