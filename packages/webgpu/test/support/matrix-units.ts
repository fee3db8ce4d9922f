import type { MatrixUnit } from '@qkv/webgpu'

/**
 * WGSL that uses matrix units, for devices without: every invocation holds whole matrices, and a subgroup is any
 * `largestSubgroup` neighbours. Slow, and the same arithmetic: where a device has no float16 either, what would be stored as
 * one is rounded to one.
 */
export function withoutMatrixUnits(code: string, { m, n, k, largestSubgroup }: MatrixUnit, hasHalves: boolean): string {
  if (!code.includes('chromium_experimental_subgroup_matrix')) return code
  const sizes = { Left: [m, k], Right: [k, n], Result: [m, n] } as const
  const types = Object.entries(sizes).map(([type, [rows, columns]]) => `struct ${type} { x: array<f32, ${rows * columns}> }`)
  const loads = [...new Set([...code.matchAll(/subgroupMatrixLoad<(\w+)>\(&(\w+)/g)].map(([, type, array]) => `${type} ${array}`))]
  const functions = loads.map((load) => {
    const [type = '', array = ''] = load.split(' ')
    const [rows, columns] = sizes[type as keyof typeof sizes]
    return `fn load${type}Of_${array}(offset: u32, byColumns: bool, stride: u32) -> ${type} {
  var y: ${type};
  for (var r = 0u; r < ${rows}; r++) {
    for (var c = 0u; c < ${columns}; c++) {
      let place = offset + select(r * stride + c, c * stride + r, byColumns);
      y.x[r * ${columns} + c] = f32(${array}[place]);
    }
  }
  return y;
}`
  })
  return `${(hasHalves ? code : withoutHalves(code))
    .replace(/enable chromium_experimental_subgroup_matrix;|diagnostic\(off, ?chromium[^)]*\);/g, '')
    .replace(/alias (Left|Right|Result) ?=[^;]*;/g, '')
    .replace(/subgroupMatrixLoad<(\w+)>\(&(\w+), ?/g, 'load$1Of_$2(')
    .replace(/subgroupMatrixStore\(&scores, ?/g, 'storeResult(')
    .replace('i32(subgroupIndex)', `lane % ${largestSubgroup}`)
    .replace('i32(size)', String(largestSubgroup))}
${types.join('\n')}
${functions.join('\n')}
fn subgroupMatrixMultiplyAccumulate(a: Left, b: Right, sum: Result) -> Result {
  var y = sum;
  for (var r = 0; r < ${m}; r++) {
    for (var c = 0; c < ${n}; c++) {
      for (var i = 0; i < ${k}; i++) { y.x[r * ${n} + c] += a.x[r * ${k} + i] * b.x[i * ${n} + c]; }
    }
  }
  return y;
}
fn storeResult(offset: u32, y: Result, byColumns: bool, stride: u32) {
  for (var r = 0u; r < ${m}; r++) {
    for (var c = 0u; c < ${n}; c++) { scores[offset + r * stride + c] = y.x[r * ${n} + c]; }
  }
}
`
}

/** The one place where the kernel makes its numbers rounds them by hand. */
function withoutHalves(code: string): string {
  if (!code.includes('enable f16;')) return code
  const rounded = 'unpack2x16float(pack2x16float(vec2f(x, 0))).x'
  return code
    .replace('enable f16;', '')
    .replace(/alias Number ?= ?f16;/, 'alias Number = f32;')
    .replace(/return Number\(x\);/, `return ${rounded};`)
}
