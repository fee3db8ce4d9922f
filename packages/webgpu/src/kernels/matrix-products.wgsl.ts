import type { ProblemSpec } from '../snippets/problem.wgsl.ts'
import { matrixGroupSize, matrixTile, scratchFloats, type MatrixUnit } from './matrix-unit.ts'

const { rows, keys } = matrixTile

/** How the products of a tile are dealt out in matrices: to `subgroups` subgroups, in turns. */
export interface MatrixPlan {
  readonly unit: MatrixUnit
  readonly headDim: number
  readonly valueDim: number
  /** Matrices of scores. */
  readonly scoreTasks: number
  /** Matrices of the output, `bands` for each `m` rows. */
  readonly outputTasks: number
  readonly bands: number
  /** As many as any subgroup holds of them, numbered. */
  readonly own: readonly number[]
  /** In how many parts a weight is multiplied. */
  readonly weightParts: readonly number[]
}

export function planMatrices(unit: MatrixUnit, { headDim, valueDim }: ProblemSpec): MatrixPlan {
  const { m, n, component, largestSubgroup } = unit
  const bands = valueDim / n
  const outputTasks = (rows / m) * bands
  const fewestSubgroups = matrixGroupSize / largestSubgroup
  return {
    unit,
    headDim,
    valueDim,
    scoreTasks: (rows / m) * (keys / n),
    outputTasks,
    bands,
    own: [...new Array(Math.ceil(outputTasks / fewestSubgroups)).keys()],
    weightParts: component === 'f16' ? [0, 1] : [0],
  }
}

/** The matrices, the workgroup memory that they are loaded from and stored to, and what is staged there. */
export function declareMatrices({ unit, headDim, valueDim, weightParts }: MatrixPlan): string {
  const { m, n, k, component } = unit
  return `alias Number = ${component};
alias Left = subgroup_matrix_left<Number, ${k}, ${m}>;
alias Right = subgroup_matrix_right<Number, ${n}, ${k}>;
alias Result = subgroup_matrix_result<f32, ${n}, ${m}>;
fn number(x: f32) -> Number { return Number(x); }
var<workgroup> queries: array<Number, ${rows * headDim}>;
/* Keys, then the values. */
var<workgroup> vectors: array<Number, ${keys * Math.max(headDim, valueDim)}>;
var<workgroup> scores: array<f32, ${scratchFloats(unit, valueDim)}>;
var<workgroup> weights: array<Number, ${weightParts.length * rows * keys}>;
var<workgroup> factors: array<f32, ${rows}>;
var<workgroup> risen: u32;`
}

/** S = Q · Kᵀ, to workgroup memory. */
export function multiplyKeys({ unit, headDim, scoreTasks }: MatrixPlan): string {
  const { m, n, k } = unit
  return `for (var task = subgroup; task < ${scoreTasks}; task += subgroups) {
      let row = task / ${keys / n} * ${m};
      let key = task % ${keys / n} * ${n};
      var s = Result();
      for (var c = 0; c < ${headDim}; c += ${k}) {
        let q = subgroupMatrixLoad<Left>(&queries, u32(row * ${headDim} + c), false, ${headDim}u);
        let keysByColumn = subgroupMatrixLoad<Right>(&vectors, u32(key * ${headDim} + c), true, ${headDim}u);
        s = subgroupMatrixMultiplyAccumulate(q, keysByColumn, s);
      }
      subgroupMatrixStore(&scores, u32(row * ${keys} + key), s, false, ${keys}u);
    }`
}

/** Where part `part` of a weight lies. */
export function weightPlace(part: number, place: string): string {
  return part === 0 ? place : `${part * rows * keys} + ${place}`
}

/** O scaled by each row's factor, where some row's maximum rose. */
export function rescaleOutputs(plan: MatrixPlan): string {
  const { unit } = plan
  const scale = 'for (var c = 0; c < 4; c++) { scores[place + c] *= factors[row]; }'
  return eachOutput(
    plan,
    (o) => `${unpacked(plan, o, scale)}
      if (task < ${plan.outputTasks}) { ${o} = subgroupMatrixLoad<Result>(&scores, u32(subgroup * ${unit.m * unit.n}), false, ${unit.n}u); }
      workgroupBarrier();`,
  )
}

/** O += P · V, whose weights may be in parts. */
export function addValues(plan: MatrixPlan): string {
  const { outputTasks, bands, weightParts, valueDim } = plan
  const { m, n, k } = plan.unit
  const weightsOf = (part: number): string =>
    `subgroupMatrixLoad<Left>(&weights, u32(${weightPlace(part, `row * ${keys} + key`)}), false, ${keys}u)`
  return eachOutput(
    plan,
    (o) => `
      if (task < ${outputTasks}) {
        let row = task / ${bands} * ${m};
        let band = task % ${bands} * ${n};
        for (var key = 0; key < ${keys}; key += ${k}) {
          let v = subgroupMatrixLoad<Right>(&vectors, u32(key * ${valueDim} + band), false, ${valueDim}u);
          ${weightParts.map((part) => `${o} = subgroupMatrixMultiplyAccumulate(${weightsOf(part)}, v, ${o});`).join('\n          ')}
        }
      }`,
  )
}

/** `code(o)` for each output matrix that a subgroup holds; `task` says which of all it is, if there are that many. */
export function eachOutput({ own }: MatrixPlan, code: (o: string) => string): string {
  return own.map((i) => `{ let task = subgroup + ${i} * subgroups; ${code(`o${i}`)} }`).join('\n    ')
}

/** `code` with an output matrix in `scores`, four elements of row `row` at a time, from `place` on. */
export function unpacked({ unit, outputTasks, bands }: MatrixPlan, o: string, code: string): string {
  const { m, n } = unit
  return `
      if (task < ${outputTasks}) { subgroupMatrixStore(&scores, u32(subgroup * ${m * n}), ${o}, false, ${n}u); }
      workgroupBarrier();
      if (task < ${outputTasks}) {
        for (var e = 4 * subgroupLane; e < ${m * n}; e += 4 * subgroupSize) {
          let row = task / ${bands} * ${m} + e / ${n};
          let place = subgroup * ${m * n} + e;
          ${code}
        }
      }
      workgroupBarrier();`
}
