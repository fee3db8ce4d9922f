// ../../../work/main/packages/webgpu/src/kernel.ts
function declarations({ parameters, buffers }) {
  const fields = ["firstGroup: i32", ...Object.entries(parameters).map(([name, type]) => `${name}: ${type}`)];
  const bindings = Object.entries(buffers).map(
    ([name, { type, access }], index) => `@group(0) @binding(${index + 1}) var<storage, ${access}> ${name}: ${type};`
  );
  return `struct Parameters { ${fields.join(", ")} }
@group(0) @binding(0) var<uniform> parameters: Parameters;
${bindings.join("\n")}`;
}

// ../../../work/main/packages/webgpu/src/snippets/elements.wgsl.ts
function declareElements({ dtype, vectors }, access = "read") {
  if (dtype === "float32") return { type: vectors ? "array<vec4f>" : "array<f32>", access };
  if (dtype === "int32") return { type: "array<i32>", access };
  return { type: vectors ? "array<vec2u>" : "array<u32>", access };
}
function readElement(name, dtype) {
  return `fn ${name}Element(index: i32) -> f32 { return ${elementOf(name, dtype)}; }`;
}
function elementOf(name, dtype) {
  switch (dtype) {
    case "float32":
      return `${name}[index]`;
    case "float16":
      return `unpack2x16float(${name}[index >> 1])[index & 1]`;
    case "bfloat16":
      return `bitcast<f32>((${name}[index >> 1] >> (16u * u32(index & 1))) << 16)`;
    case "int32":
      return `f32(${name}[index])`;
    case "int8":
      return `f32(bitcast<i32>(${name}[index >> 2] << (24u - 8u * u32(index & 3))) >> 24)`;
    default:
      return `f32((${name}[index >> 2] >> (8u * u32(index & 3))) & 0xffu)`;
  }
}
function readVector(name, { dtype, vectors }, dim) {
  if (vectors) {
    const whole = `${name}[(base >> 2) + chunk]`;
    return `fn ${name}Vector(base: i32, chunk: i32) -> vec4f { ${unpackVector(whole, dtype)} }`;
  }
  return `${readElement(name, dtype)}
fn ${name}Vector(base: i32, chunk: i32) -> vec4f {
  ${gather(dim, (element) => `${name}Element(base + (${element}) * parameters.${name}Stride3)`)}
}`;
}
function gather(dim, read) {
  return `var x = vec4f();
  for (var k = 0; k < min(4, ${dim} - 4 * chunk); k++) { x[k] = ${read("4 * chunk + k")}; }
  return x;`;
}
function unpackVector(whole, dtype) {
  if (dtype === "float32") return `return ${whole};`;
  if (dtype === "float16") return `let w = ${whole}; return vec4f(unpack2x16float(w.x), unpack2x16float(w.y));`;
  return `let w = ${whole}; return bitcast<vec4f>(vec4u(w.x << 16, w.x & 0xffff0000u, w.y << 16, w.y & 0xffff0000u));`;
}
function isQuantised(access) {
  return access.dtype === "int8" || access.dtype === "uint8";
}
function readQuantised(name, { dtype, vectors, groups }, dim) {
  const stride = `parameters.${name}Stride3`;
  const scale = (element2) => `${name}Scales[base.y + ${groups === 1 ? "0" : `((${element2}) / ${dim / groups}) * parameters.${name}ScalesStride3`}]`;
  const oneScale = dim / groups % 4 === 0 || groups === 1;
  const byte = (index) => `(${name}[(${index}) >> 2] >> (8u * u32((${index}) & 3)))`;
  const whole = dtype === "int8" ? `let w = vec4i(bitcast<i32>(${name}[(base.x >> 2) + chunk])); return vec4f((w << vec4u(24, 16, 8, 0)) >> vec4u(24))` : `let at = base.x + 2 * chunk; let w = vec4u(${name}[at >> 2] >> (8u * u32(at & 2))); return (vec4f((w >> vec4u(0, 4, 8, 12)) & vec4u(15)) - 8.0)`;
  if (vectors && oneScale) return `fn ${name}Vector(base: vec2i, chunk: i32) -> vec4f { ${whole} * ${scale("4 * chunk")}; }`;
  const element = dtype === "int8" ? `f32(bitcast<i32>(${byte(`base.x + c * ${stride}`)} << 24) >> 24)` : `f32((${byte(`base.x + (c >> 1) * ${stride}`)} >> (4u * u32(c & 1))) & 15) - 8.0`;
  return `fn ${name}Element(base: vec2i, c: i32) -> f32 { return (${element}) * ${scale("c")}; }
fn ${name}Vector(base: vec2i, chunk: i32) -> vec4f {
  ${gather(dim, (at) => `${name}Element(base, ${at})`)}
}`;
}
function writeVector(name, { dtype, vectors }, dim) {
  const head = `fn ${name}Store(base: i32, chunk: i32, x: vec4f)`;
  if (vectors) {
    const packed = dtype === "float32" ? "x" : "vec2u(packHalves(x.xy), packHalves(x.zw))";
    return `${dtype === "float32" ? "" : packHalves(dtype)}
${head} { ${name}[(base >> 2) + chunk] = ${packed}; }`;
  }
  return `${head} {
  for (var k = 0; k < min(4, ${dim} - 4 * chunk); k++) { ${name}[base + (4 * chunk + k) * parameters.${name}Stride3] = x[k]; }
}`;
}
function packHalves(dtype) {
  if (dtype === "float16") {
    return "fn packHalves(x: vec2f) -> u32 { return pack2x16float(clamp(x, vec2f(-65504), vec2f(65504))); }";
  }
  return `fn packHalves(x: vec2f) -> u32 {
  let bits = bitcast<vec2u>(x);
  let rounded = (bits + 0x7fffu + ((bits >> vec2u(16)) & vec2u(1))) >> vec2u(16);
  return rounded.x | (rounded.y << 16);
}`;
}

// ../../../work/main/packages/webgpu/src/snippets/dropout.wgsl.ts
var dropout = `
fn mixBits(value: u32) -> u32 {
  var x = value;
  x = (x ^ (x >> 16)) * 0x7feb352du;
  x = (x ^ (x >> 15)) * 0x846ca68bu;
  return x ^ (x >> 16);
}
fn kept(at: Pair) -> f32 {
  let plane = mixBits(mixBits(mixBits(bitcast<u32>(parameters.dropoutSeed)) + u32(at.batch)) + u32(at.head));
  let hash = mixBits(mixBits(plane + u32(at.row)) + u32(at.key));
  return select(parameters.dropoutFactor, 0.0, hash < bitcast<u32>(parameters.dropoutThreshold));
}`;
var dropoutParameters = { dropoutSeed: "i32", dropoutThreshold: "i32", dropoutFactor: "f32" };

// ../../../work/main/packages/webgpu/src/snippets/expression.wgsl.ts
var pair = "struct Pair { batch: i32, head: i32, query: i32, key: i32, row: i32 }";
var expressionHelpers = `
fn floorDivide(a: i32, b: i32) -> i32 {
  let q = a / b;
  return select(q, q - 1, (a % b != 0) && ((a < 0) != (b < 0)));
}
fn floorModulo(a: i32, b: i32) -> i32 { return a - b * floorDivide(a, b); }
fn floorModuloFloat(a: f32, b: f32) -> f32 { return a - b * floor(a / b); }`;
function captureParameters(captures) {
  const parameters = {};
  captures.scalarTypes.forEach((type, index) => parameters[`scalar${index}`] = type);
  captures.tensors.forEach(({ shape }, index) => {
    parameters[`capture${index}`] = "i32";
    shape.forEach((_, axis) => parameters[`capture${index}Size${axis}`] = "i32");
  });
  return parameters;
}
function captureIndexFunctions({ tensors }) {
  return tensors.map(({ shape }, index) => {
    const steps = shape.map((_, axis) => {
      const size = `parameters.capture${index}Size${axis}`;
      return `word = word * ${size} + clamp(i${axis}, 0, ${size} - 1);`;
    });
    return `fn captureIndex${index}(${shape.map((_, axis) => `i${axis}: i32`).join(", ")}) -> i32 {
  var word = 0;
  ${steps.join("\n  ")}
  return parameters.capture${index} + word;
}`;
  }).join("\n");
}

// ../../../work/main/packages/webgpu/src/snippets/tanh.wgsl.ts
var accurateTanh = `
fn accurateTanh(x: f32) -> f32 {
  let a = min(abs(x), 10.0);
  if (a < 0.5) {
    let y = x * x;
    let series = fma(y, fma(y, fma(y, fma(y, fma(y, fma(y, 21844.0 / 6081075.0, -1382.0 / 155925.0), 62.0 / 2835.0), -17.0 / 315.0), 2.0 / 15.0), -1.0 / 3.0), 1.0);
    return x * series;
  }
  return sign(x) * (1.0 - 2.0 / (exp(2.0 * a) + 1.0));
}`;

// ../../../work/main/packages/webgpu/src/snippets/visibility.wgsl.ts
var visibility = `
fn positionOf(row: i32, validKeys: i32) -> i32 {
  return row + parameters.lowerRight * (validKeys - parameters.queryLength);
}
fn firstKey(position: i32, validKeys: i32) -> i32 { return clamp(position - parameters.left, 0, validKeys); }
fn endKey(position: i32, validKeys: i32) -> i32 { return clamp(position + parameters.right + 1, 0, validKeys); }`;
var visibilityParameters = {
  queryLength: "i32",
  keyLength: "i32",
  /** Keys to either side, `unbounded` where there is no limit. */
  left: "i32",
  right: "i32",
  /** 1 where the last row stands at the last valid key, 0 where row 0 stands at key 0. */
  lowerRight: "i32"
};
var unbounded = 2 ** 30;

// ../../../work/main/packages/webgpu/src/snippets/problem.wgsl.ts
function isPlain(spec) {
  return !spec.softcap && spec.bias === void 0 && spec.scoreCode === void 0;
}
function problemInterface(spec, blockMap = false) {
  const strides = (name) => Object.fromEntries([`${name}Offset`, ...[0, 1, 2, 3].map((axis) => `${name}Stride${axis}`)].map((key) => [key, "i32"]));
  const buffers = {
    query: declareElements(spec.query),
    ...declareKeys("key", spec.key),
    ...declareKeys("value", spec.value)
  };
  if (spec.bias !== void 0 && spec.bias !== "context") buffers["bias"] = declareElements({ dtype: spec.bias, vectors: false });
  if (usesContext(spec, blockMap)) buffers["context"] = { type: "array<u32>", access: "read" };
  return {
    parameters: {
      batch: "i32",
      queryHeads: "i32",
      keyHeads: "i32",
      group: "i32",
      scale: "f32",
      ...visibilityParameters,
      ...strides("query"),
      ...strides("key"),
      ...strides("value"),
      ...isQuantised(spec.key) ? strides("keyScales") : {},
      ...isQuantised(spec.value) ? strides("valueScales") : {},
      ...spec.dropout ? dropoutParameters : {},
      ...spec.bias === void 0 ? {} : strides("bias"),
      ...spec.softcap ? { softcap: "f32" } : {},
      ...spec.lengths ? { lengthsAt: "i32" } : {},
      ...spec.sinks ? { sinksAt: "i32" } : {},
      ...spec.mask ? strides("mask") : {},
      ...captureParameters(capturesOf(spec))
    },
    buffers
  };
}
function declareKeys(name, access) {
  if (!isQuantised(access)) return { [name]: declareElements(access) };
  return { [name]: { type: "array<u32>", access: "read" }, [`${name}Scales`]: { type: "array<f32>", access: "read" } };
}
function usesContext(spec, blockMap) {
  return blockMap || spec.bias === "context" || spec.sinks || spec.lengths || spec.mask || spec.captureRanks.length > 0;
}
function capturesOf({ captureRanks, scalarTypes }) {
  const tensors = captureRanks.map((rank) => ({
    dtype: "float32",
    shape: new Array(rank).fill(0),
    strides: [],
    offset: 0,
    storage: new Float32Array()
  }));
  return { tensors, scalars: [], scalarTypes: [...scalarTypes] };
}
function problemFunctions(spec) {
  return `const log2e = 1.4426950408889634;
const ln2 = 0.6931471805599453;
/* Below every score, and its distance to any score is finite. */
const lowest = -1.7e38;
${pair}
${visibility}
${spec.softcap || usesTanh(spec) ? accurateTanh : ""}
${spec.scoreCode === void 0 && spec.maskCode === void 0 ? "" : expressionHelpers}
${captureIndexFunctions(capturesOf(spec))}
${spec.scoreCode ?? ""}
${spec.maskCode ?? ""}
${readVector("query", spec.query, spec.headDim)}
${readKeys("key", spec.key, spec.headDim)}
${readKeys("value", spec.value, spec.valueDim)}
${base("query")}
${spec.dropout ? dropout : ""}
${spec.bias === void 0 ? "" : readBias(spec.bias)}
fn validKeysOf(batch: i32) -> i32 { return ${spec.lengths ? "clamp(bitcast<i32>(context[parameters.lengthsAt + batch]), 0, parameters.keyLength)" : "parameters.keyLength"}; }
${isVisible(spec)}
${spec.sinks ? sinkOf : ""}
${spec.bias === void 0 ? "" : biasAt}
fn finalScore(scaled: f32, at: Pair) -> f32 {
  var score = scaled;
  ${spec.softcap ? "score = parameters.softcap * accurateTanh(score / parameters.softcap);" : ""}
  ${spec.bias === void 0 ? "" : `let bias = biasAt(at);
  if (bias <= lowest) { return lowest; }
  score += bias;`}
  ${spec.scoreCode === void 0 ? "" : "score = changeScore(at, score);"}
  return score;
}`;
}
function readKeys(name, access, dim) {
  const type = `${name[0].toUpperCase()}${name.slice(1)}Row`;
  if (!isQuantised(access)) {
    return `${readVector(name, access, dim)}
${base(name)}
alias ${type} = i32;
fn ${name}Step() -> i32 { return parameters.${name}Stride2; }`;
  }
  return `${readQuantised(name, access, dim)}
${base(name, "RowBase")}
${base(`${name}Scales`)}
fn ${name}Base(batch: i32, head: i32, row: i32) -> vec2i {
  return vec2i(${name}RowBase(batch, head, row), ${name}ScalesBase(batch, head, row));
}
alias ${type} = vec2i;
fn ${name}Step() -> vec2i { return vec2i(parameters.${name}Stride2, parameters.${name}ScalesStride2); }`;
}
function readBias(bias) {
  if (bias !== "context") return readElement("bias", bias);
  return "fn biasElement(index: i32) -> f32 { return bitcast<f32>(context[index]); }";
}
function usesTanh({ scoreCode = "", maskCode = "" }) {
  return scoreCode.includes("accurateTanh") || maskCode.includes("accurateTanh");
}
function base(name, suffix = "Base") {
  return `fn ${name}${suffix}(batch: i32, head: i32, row: i32) -> i32 {
  return parameters.${name}Offset + batch * parameters.${name}Stride0 + head * parameters.${name}Stride1 + row * parameters.${name}Stride2;
}`;
}
var sinkOf = `fn sinkOf(head: i32) -> f32 {
  let bits = context[parameters.sinksAt + head];
  return select(bitcast<f32>(bits) * log2e, lowest, bits == 0xff800000u);
}`;
var scoreIndex = (name) => `parameters.${name}Offset + at.batch * parameters.${name}Stride0 + at.head * parameters.${name}Stride1 + at.row * parameters.${name}Stride2 + at.key * parameters.${name}Stride3`;
var biasAt = `fn biasAt(at: Pair) -> f32 { return biasElement(${scoreIndex("bias")}); }`;
function isVisible({ mask, maskCode }) {
  const byte = `let byte = ${scoreIndex("mask")};
  if (((context[byte >> 2] >> (8u * u32(byte & 3))) & 0xffu) == 0u) { return false; }`;
  return `fn isVisible(at: Pair) -> bool {
  ${mask ? byte : ""}
  return ${maskCode === void 0 ? "true" : "mayAttend(at, 0.0)"};
}`;
}

// ../../../work/main/packages/webgpu/src/snippets/tiles.wgsl.ts
function declareTile({ name, groups, slots }) {
  return `var<workgroup> ${name}: array<array<array<vec4f, ${groups * 8}>, 4>, ${slots}>;`;
}
function declareWeights({ name, groups, slots }) {
  return `var<workgroup> ${name}: array<array<vec4f, ${groups * 8 * slots}>, 4>;`;
}
function swizzled(group, chunk, width = 8) {
  return `(${swizzledRow(group, width)} ^ ${chunk})`;
}
function swizzledRow(group, width) {
  return `((${group} << ${Math.log2(width)}u) | (${group} & 7))`;
}
function stageRows({ name, groups }, octets, invocations, vector) {
  return `{
      let group = ${remainder(quotient("lane", 8), groups)};
      let at = ${swizzled("group", "(lane & 7)")};
      for (var slot = 0; slot < ${octets}; slot++) {
        ${eachPart(8 * groups, invocations, `${name}[slot][part][at] = ${vector("group", "part", "8 * slot + (lane & 7)", step(8 * groups, invocations))};`)}
      }
    }`;
}
function eachPart(perPart, invocations, code) {
  const together = invocations / perPart;
  return `for (var i = 0; i < ${4 / together}; i++) { let part = ${together === 1 ? "i" : `i * ${together} + ${quotient("lane", perPart)}`}; ${code} }`;
}
function firstStaged({ groups }, invocations) {
  return { group: remainder(quotient("lane", 8), groups), part: invocations === 8 * groups ? "0" : quotient("lane", 8 * groups) };
}
function step(perPart, invocations) {
  return invocations === perPart ? "i" : `i * ${invocations / perPart}`;
}
function quotient(x, divisor) {
  return divisor === 1 ? x : `(${x} >> ${Math.log2(divisor)}u)`;
}
function remainder(x, divisor) {
  return `(${x} & ${divisor - 1})`;
}
function planColumns({ groups: columns, slots }, chunks) {
  const bands = Math.ceil(chunks / columns);
  const perSlot = Math.ceil(bands / slots);
  const groups = 2 ** Math.floor(Math.log2(8 / perSlot));
  return { bands, slots: Math.ceil(bands / perSlot), perSlot, groups, phases: columns / groups };
}
function stageColumns({ name, groups: columns }, { slots, groups }, invocations, vector) {
  return `{
      let at = ${remainder("lane", 8 * columns)};
      let group = ${remainder(quotient("at", columns), groups)};
      let band = ${quotient("at", columns * groups)} * ${slots};
      for (var slot = 0; slot < ${slots}; slot++) {
        ${eachPart(8 * columns, invocations, `${name}[slot][part][at] = ${vector("group", "part", `(band + slot) * ${columns} + ${remainder("lane", columns)}`, step(8 * columns, invocations))};`)}
      }
    }`;
}
function multiplyRows(rowTile, columnTile, octets, sum) {
  return `{
    let aRow = ${swizzledRow("rowGroup", 8)};
    let bRow = ${swizzledRow("column", 8)};
    for (var c = 0; c < 8; c++) {
      for (var slot = 0; slot < ${octets}; slot++) {
        var b: array<vec4f, 4>;
        for (var i = 0; i < 4; i++) { b[i] = ${columnTile}[slot][i][bRow ^ c]; }
        for (var r = 0; r < 4; r++) {
          let a = ${rowTile}[slot][r][aRow ^ c];
          ${sum}[r] = vec4f(addDot(a, b[0], ${sum}[r].x), addDot(a, b[1], ${sum}[r].y), addDot(a, b[2], ${sum}[r].z), addDot(a, b[3], ${sum}[r].w));
        }
      }
    }
    }`;
}
var addDot = `
fn addDot(a: vec4f, b: vec4f, sum: f32) -> f32 { return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum)))); }`;
function storeWeights({ name, slots }, value) {
  return `${name}[r][${swizzled("rowGroup", "column", 8 * slots)}] = ${value};`;
}
function multiplyColumns(weights, { name, groups: columns }, plan, stage, sum) {
  const { slots, perSlot, groups, phases } = plan;
  return `{
    let pRow = ${swizzledRow("rowGroup", 8 * weights.slots)};
    for (var phase = 0; phase < ${phases}; phase++) {
      workgroupBarrier();
      ${stage}
      workgroupBarrier();
      for (var b = 0; b < ${groups}; b++) {
        let pAt = pRow ^ (phase * ${groups} + b);
        var p: array<vec4f, 4>;
        for (var r = 0; r < 4; r++) { p[r] = ${weights.name}[r][pAt]; }
        for (var part = 0; part < ${perSlot}; part++) {
          let vAt = (part * ${groups} + b) * ${columns} + column;
          for (var slot = 0; slot < ${slots}; slot++) {
            let band = part * ${slots} + slot;
            for (var k = 0; k < 4; k++) {
              let v = ${name}[slot][k][vAt];
              for (var r = 0; r < 4; r++) { ${sum}[band][r] = fma(vec4f(p[r][k]), v, ${sum}[band][r]); }
            }
          }
        }
      }
    }
    }`;
}
function phasesOf(dim, depth) {
  const octets = Math.max(1, Math.ceil(dim / 32));
  const perPhase = depth / 32;
  return Array.from({ length: Math.ceil(octets / perPhase) }, (_, phase) => ({
    first: 8 * phase * perPhase,
    octets: Math.min(perPhase, octets - phase * perPhase)
  }));
}
function chunkOrZeros(name, start, dim) {
  const chunks = Math.max(1, Math.ceil(dim / 4));
  if (dim % 32 === 0 && dim > 0) return `${name}Vector(${start}, chunk)`;
  return `select(vec4f(), ${name}Vector(${start}, min(chunk, ${chunks - 1})), chunk < ${chunks})`;
}
function finite(vector) {
  return `select(vec4f(), ${vector}, (bitcast<vec4u>(${vector}) & vec4u(0x7f800000u)) != vec4u(0x7f800000u))`;
}

// ../../../work/main/packages/webgpu/src/kernels/decode.wgsl.ts
var decodeGroupSize = 128;
function keysTogether(lanes) {
  return decodeGroupSize / lanes;
}
var decode = {
  name: "decode",
  interface({ problem, output }) {
    const { parameters, buffers } = problemInterface(problem);
    return {
      parameters: {
        ...parameters,
        splits: "i32",
        outputOffset: "i32",
        outputStride0: "i32",
        outputStride1: "i32",
        outputStride2: "i32",
        outputStride3: "i32",
        outputSplitStride: "i32"
      },
      buffers: {
        ...buffers,
        output: declareElements(output, "read_write"),
        lse: { type: "array<u32>", access: "read_write" }
      }
    };
  },
  code(spec) {
    const { problem, output, rows, lanes, subgroups } = spec;
    const keys = keysTogether(lanes);
    const queryChunks = Math.max(1, Math.ceil(problem.headDim / 4));
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4));
    const [ownQuery, ownValue] = [Math.ceil(queryChunks / lanes), Math.ceil(valueChunks / lanes)];
    const plain = isPlain(problem);
    const together = Math.min(rows, 4);
    const chunk = (chunks, read) => chunks % lanes === 0 ? read(`(lane + i * ${lanes})`) : `select(vec4f(), ${read(`min(lane + i * ${lanes}, ${chunks - 1})`)}, lane + i * ${lanes} < ${chunks})`;
    const eachRow = (code) => `for (var r = 0; r < ${rows}; r++) { ${code} }`;
    return `${subgroups ? "enable subgroups;" : ""}
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector("output", output, problem.valueDim)}
${base("output")}
var<workgroup> maxima: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> sums: array<array<f32, ${keys}>, ${rows}>;
var<workgroup> outputs: array<array<vec4f, ${decodeGroupSize}>, ${together}>;
${sumOverLanes(lanes, rows, subgroups)}
${addDot}

@compute @workgroup_size(${decodeGroupSize})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let index = i32(localIndex);
  let lane = ${remainder("index", lanes)};
  let slot = ${quotient("index", lanes)};
  let rowCount = parameters.queryLength * parameters.group;
  let blocks = (rowCount + ${rows - 1}) / ${rows};
  let group = i32(groupId.x) + parameters.firstGroup;
  let split = group % parameters.splits;
  let firstRow = group / parameters.splits % blocks * ${rows};
  let plane = group / (parameters.splits * blocks);
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;

  /* The keys that any of the rows sees, divided among the splits. */
  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);
  let lastRow = min(firstRow + ${rows}, rowCount) - 1;
  let first = firstKey(shift + firstRow / parameters.group, validKeys);
  let end = endKey(shift + lastRow / parameters.group, validKeys);
  let perSplit = (max(0, end - first) + parameters.splits * ${keys} - 1) / (parameters.splits * ${keys}) * ${keys};
  let start = first + split * perSplit;
  let stop = min(start + perSplit, end);

  var q = array<array<vec4f, ${ownQuery}>, ${rows}>();
  ${eachRow(`
    let row = min(firstRow + r, lastRow);
    let queryRow = queryBase(batch, keyHead * parameters.group + row % parameters.group, row / parameters.group);
    for (var i = 0; i < ${ownQuery}; i++) { q[r][i] = ${chunk(queryChunks, (c) => `queryVector(queryRow, ${c})`)} * (parameters.scale${plain ? " * log2e" : ""}); }
  `)}

  var m = array<f32, ${rows}>();
  var l = array<f32, ${rows}>();
  var o = array<array<vec4f, ${ownValue}>, ${rows}>();
  ${eachRow("m[r] = lowest;")}
  for (var firstOfAll = start; firstOfAll < stop; firstOfAll += ${keys}) {
    let key = firstOfAll + slot;
    let keyRow = keyBase(batch, keyHead, min(key, stop - 1));
    var s = array<f32, ${rows}>();
    for (var i = 0; i < ${ownQuery}; i++) {
      let k = ${chunk(queryChunks, (c) => `keyVector(keyRow, ${c})`)};
      ${eachRow("s[r] = addDot(q[r][i], k, s[r]);")}
    }
    s = sumOverLanes(s, index);
    var seen = false;
    ${eachRow(`
      let row = firstRow + r;
      let token = row / parameters.group;
      let position = shift + token;
      let at = Pair(batch, keyHead * parameters.group + row % parameters.group, position, key, token);
      let visible = key < stop && row <= lastRow && key >= firstKey(position, validKeys) && key < endKey(position, validKeys) && isVisible(at);
      let score = select(lowest, ${plain ? "s[r]" : "finalScore(s[r], at) * log2e"}, visible);
      s[r] = 0.0;
      if (score > lowest) {
        seen = true;
        if (score > m[r]) {
          let rescale = exp2(m[r] - score);
          l[r] *= rescale;
          for (var i = 0; i < ${ownValue}; i++) { o[r][i] *= rescale; }
          m[r] = score;
        }
        let p = exp2(score - m[r]);
        l[r] += p;
        s[r] = ${problem.dropout ? "p * kept(at)" : "p"};
      }
    `)}
    if (seen) {
      let valueRow = valueBase(batch, keyHead, key);
      for (var i = 0; i < ${ownValue}; i++) {
        let v = ${chunk(valueChunks, (c) => `valueVector(valueRow, ${c})`)};
        ${eachRow("o[r][i] = fma(vec4f(s[r]), v, o[r][i]);")}
      }
    }
  }

  if (lane == 0) { ${eachRow("maxima[r][slot] = m[r]; sums[r][slot] = l[r];")} }
  workgroupBarrier();
  for (var firstOfRows = 0; firstOfRows < ${rows}; firstOfRows += ${together}) {
    for (var i = 0; i < ${ownValue}; i++) {
      for (var r = 0; r < ${together}; r++) { outputs[r][index] = o[firstOfRows + r][i]; }
      workgroupBarrier();
      let r = firstOfRows + slot;
      let row = firstRow + r;
      if (slot < ${together} && row <= lastRow) {
        let head = keyHead * parameters.group + row % parameters.group;
        let token = row / parameters.group;
        var largest = ${problem.sinks ? "select(lowest, sinkOf(head), split == 0)" : "lowest"};
        ${problem.sinks ? "let sink = largest;" : ""}
        for (var other = 0; other < ${keys}; other++) { largest = max(largest, maxima[r][other]); }
        var total = ${problem.sinks ? "select(0.0, exp2(sink - largest), sink > lowest)" : "0.0"};
        var sum = vec4f();
        for (var other = 0; other < ${keys}; other++) {
          let weight = exp2(maxima[r][other] - largest);
          total = fma(sums[r][other], weight, total);
          sum = fma(outputs[slot][other * ${lanes} + lane], vec4f(weight), sum);
        }
        let empty = total == 0.0;
        total = select(total, 1.0, empty);
        let c = lane + i * ${lanes};
        if (c < ${valueChunks}) { outputStore(outputBase(batch, head, token) + split * parameters.outputSplitStride, c, sum / total); }
        if (c == 0) {
          let place = (batch * parameters.queryHeads + head) * parameters.queryLength + token;
          lse[split * parameters.batch * parameters.queryHeads * parameters.queryLength + place] = select(bitcast<u32>(fma(largest, ln2, log(total))), 0xff800000u, empty);
        }
      }
      workgroupBarrier();
    }
  }
}
`;
  }
};
function sumOverLanes(lanes, rows, subgroups) {
  const type = `array<f32, ${rows}>`;
  if (subgroups) {
    const steps = [1, 2, 4, 8].filter((step2) => step2 < lanes).map((step2) => `y[r] += subgroupShuffleXor(y[r], ${step2}u);`);
    return `fn sumOverLanes(x: ${type}, index: i32) -> ${type} {
  var y = x;
  for (var r = 0; r < ${rows}; r++) { ${steps.join(" ")} }
  return y;
}`;
  }
  return `var<workgroup> shares: array<${type}, ${decodeGroupSize}>;
fn sumOverLanes(x: ${type}, index: i32) -> ${type} {
  shares[index] = x;
  workgroupBarrier();
  var y = ${type}();
  let first = index & ${-lanes};
  for (var other = 0; other < ${lanes}; other++) {
    for (var r = 0; r < ${rows}; r++) { y[r] += shares[first + other][r]; }
  }
  workgroupBarrier();
  return y;
}`;
}

// ../../../work/main/packages/webgpu/src/snippets/pair-gradient.wgsl.ts
function pairGradient(spec, slopeCode) {
  return `${slopeCode ?? ""}
/* weight: p \xB7 f. changed, biased, scaled: gradients of the score after the expression, before it, and of scale \xB7 q\xB7k. */
struct PairGradient { weight: f32, changed: f32, biased: f32, scaled: f32, score: f32 }
/* row: the row's lse in powers of two, and its \u03B4. */
fn pairGradient(scaled: f32, dWeight: f32, row: vec2f, at: Pair) -> PairGradient {
  var score = scaled;
  var g: PairGradient;
  ${spec.softcap ? `let t = accurateTanh(score / parameters.softcap);
  score = parameters.softcap * t;` : ""}
  ${spec.bias === void 0 ? "" : "score += biasAt(at);"}
  g.score = score;
  ${spec.scoreCode === void 0 ? "let changed = score;" : "let changed = changeScore(at, score);"}
  let p = exp2(min(fma(changed, log2e, -row.x), 0.0)); /* No weight exceeds 1, however large the scores. */
  ${spec.dropout ? "let factor = kept(at);" : ""}
  g.weight = p${spec.dropout ? " * factor" : ""};
  g.changed = p * (dWeight${spec.dropout ? " * factor" : ""} - row.y);
  g.biased = g.changed${slopeCode === void 0 ? "" : " * scoreSlope(at, score)"};
  g.scaled = g.biased${spec.softcap ? " * (1.0 - t * t)" : ""};
  return g;
}
fn isSeen(at: Pair) -> bool { return isVisible(at)${spec.bias === void 0 ? "" : " && biasAt(at) > lowest"}; }`;
}

// ../../../work/main/packages/webgpu/src/snippets/gradient.wgsl.ts
function gradientInterface({ problem, dOutput }, blockMap = false) {
  const { parameters, buffers } = problemInterface(problem, blockMap);
  return {
    parameters: {
      ...parameters,
      dOutputOffset: "i32",
      dOutputStride0: "i32",
      dOutputStride1: "i32",
      dOutputStride2: "i32",
      dOutputStride3: "i32"
    },
    buffers: {
      ...buffers,
      dOutput: declareElements(dOutput),
      rowStatistics: { type: "array<vec2f>", access: "read" }
    }
  };
}
function gradientFunctions({ problem, dOutput, slopeCode }) {
  return `${problemFunctions(problem)}
${readVector("dOutput", dOutput, problem.valueDim)}
${base("dOutput")}
${pairGradient(problem, slopeCode)}`;
}

// ../../../work/main/packages/webgpu/src/snippets/gradient-tiles.wgsl.ts
function gradientTiles({ rowGroups, columns, depth }) {
  return {
    row: { name: "rowTile", groups: rowGroups, slots: depth / 32 },
    column: { name: "columnTile", groups: columns, slots: depth / 32 },
    weight: { name: "weightTile", groups: rowGroups, slots: columns / 8 }
  };
}
function gradientTileFunctions(tile, { headDim, valueDim }) {
  const at = (name, dim, factor = "") => `fn ${name}At(batch: i32, head: i32, row: i32, chunk: i32) -> vec4f {
  return ${chunkOrZeros(name, `${name}Base(batch, head, row)`, dim)}${factor};
}`;
  const { row, column, weight } = gradientTiles(tile);
  return `${[row, column].map(declareTile).join("\n")}
${declareWeights(weight)}
${at("query", headDim, " * parameters.scale")}
${at("dOutput", valueDim)}
${at("key", headDim)}
${at("value", valueDim)}
${addDot}
fn finiteOnly(x: vec4f, needed: bool) -> vec4f {
  if (!needed) { return x; }
  return ${finite("x")};
}`;
}
function storeGradient(buffer, vectors) {
  return vectors ? `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) { if (4 * chunk < dim) { ${buffer}[(base >> 2) + chunk] = x; } }` : `fn store(base: i32, chunk: i32, dim: i32, x: vec4f) {
  for (var k = 0; k < min(4, dim - 4 * chunk); k++) { ${buffer}[base + 4 * chunk + k] = x[k]; }
}`;
}

// ../../../work/main/packages/webgpu/src/kernels/gradient-key-value.wgsl.ts
var gradientKeyValue = {
  name: "gradient-key-value",
  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec);
    return {
      parameters: { ...parameters, tiles: "i32", dKeyOffset: "i32", dValueOffset: "i32" },
      buffers: { ...buffers, gradients: { type: hasVectors(spec) ? "array<vec4f>" : "array<f32>", access: "read_write" } }
    };
  },
  code(spec) {
    const { problem, tile } = spec;
    const { headDim, valueDim } = problem;
    const { rowGroups, columns, depth } = tile;
    const invocations = rowGroups * columns;
    const [keys, queries] = [4 * rowGroups, 4 * columns];
    const { row, column, weight } = gradientTiles(tile);
    const [keyPlan, valuePlan] = [planColumns(column, Math.ceil(headDim / 4)), planColumns(column, Math.ceil(valueDim / 4))];
    const token = (group, part) => `min(tileRow + 4 * ${group} + ${part}, parameters.queryLength - 1)`;
    const product = (dim, left, right, sum) => phasesOf(dim, depth).map(({ first, octets }) => `workgroupBarrier();
    ${stageRows(row, octets, invocations, (group, part, chunk) => `${left}(batch, keyHead, min(firstOwn + ${part} * ${rowGroups} + ${group}, validKeys - 1), ${first} + ${chunk})`)}
    ${stageRows(column, octets, invocations, (group, part, chunk) => `${right}(batch, head, ${token(group, part)}, ${first} + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows(row.name, column.name, octets, sum)}`).join("\n    ");
    const accumulate = (plan, vector, sum) => multiplyColumns(weight, column, plan, stageColumns(column, plan, invocations, (group, part, chunk) => `${vector}(batch, head, ${token(`(phase * ${plan.groups} + ${group})`, part)}, ${chunk})`), sum);
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${gradientTileFunctions(tile, problem)}
${storeGradient("gradients", hasVectors(spec))}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = ${remainder("lane", columns)};
  let rowGroup = ${quotient("lane", columns)};
  let plane = (i32(groupId.x) + parameters.firstGroup) / parameters.tiles;
  let firstOwn = (i32(groupId.x) + parameters.firstGroup) % parameters.tiles * ${keys};
  let batch = plane / parameters.keyHeads;
  let keyHead = plane % parameters.keyHeads;
  let validKeys = validKeysOf(batch);
  let shift = positionOf(0, validKeys);

  /* The rows whose positions see some of these keys. */
  let firstRow = clamp(firstOwn - parameters.right - shift, 0, parameters.queryLength);
  let endRow = select(0, clamp(firstOwn + ${keys} + parameters.left - shift, 0, parameters.queryLength), firstOwn < validKeys);
  var dk = array<array<vec4f, 4>, ${keyPlan.bands}>();
  var dv = array<array<vec4f, 4>, ${valuePlan.bands}>();
  for (var member = 0; member < parameters.group; member++) {
  let head = keyHead * parameters.group + member;
  for (var tileRow = firstRow; tileRow < endRow; tileRow += ${queries}) {
    let full = tileRow + ${queries} <= parameters.queryLength && firstOwn + ${keys} <= validKeys
      && firstKey(shift + tileRow + ${queries - 1}, validKeys) <= firstOwn && endKey(shift + tileRow, validKeys) >= firstOwn + ${keys};
    let masked = ${problem.mask || problem.maskCode !== void 0 || problem.bias !== void 0 ? "true" : "!full"};
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    ${product(headDim, "keyAt", "queryAt", "s")}
    ${product(valueDim, "valueAt", "dOutputAt", "d")}
    var statistics: array<vec2f, 4>;
    for (var j = 0; j < 4; j++) {
      statistics[j] = rowStatistics[(batch * parameters.queryHeads + head) * parameters.queryLength + ${token("column", "j")}];
    }
    for (var r = 0; r < 4; r++) {
      let key = firstOwn + rowGroup + r * ${rowGroups};
      for (var j = 0; j < 4; j++) {
        let row = tileRow + 4 * column + j;
        let at = Pair(batch, head, shift + row, key, row);
        let seen = !masked || (row < parameters.queryLength && key >= firstKey(at.query, validKeys) && key < endKey(at.query, validKeys) && isSeen(at));
        let g = pairGradient(s[r][j], d[r][j], statistics[j], at);
        s[r][j] = select(0.0, g.weight, seen);
        d[r][j] = select(0.0, g.scaled, seen);
      }
      ${storeWeights(weight, "s[r]")}
    }
    ${accumulate(valuePlan, "dOutputAt", "dv")}
    workgroupBarrier();
    for (var r = 0; r < 4; r++) { ${storeWeights(weight, "d[r]")} }
    ${accumulate(keyPlan, "queryAt", "dk")}
  }
  }

  for (var r = 0; r < 4; r++) {
    let key = firstOwn + rowGroup + r * ${rowGroups};
    if (key >= parameters.keyLength) { continue; }
    let index = plane * parameters.keyLength + key;
    for (var band = 0; band < ${keyPlan.bands}; band++) { store(parameters.dKeyOffset + index * ${headDim}, band * ${columns} + column, ${headDim}, dk[band][r]); }
    for (var band = 0; band < ${valuePlan.bands}; band++) { store(parameters.dValueOffset + index * ${valueDim}, band * ${columns} + column, ${valueDim}, dv[band][r]); }
  }
}
`;
  }
};
function hasVectors({ problem: { headDim, valueDim } }) {
  return headDim % 4 === 0 && valueDim % 4 === 0;
}

// ../../../work/main/packages/webgpu/src/snippets/tile-walk.wgsl.ts
var tileWalkParameters = {
  /** Tiles of rows in each plane. */
  tiles: "i32",
  /** Query heads whose rows share a plane, token by token: 1, or all that share a key head. */
  packed: "i32",
  /** Where in `context` the block map lies; see {@link walkTiles}. */
  planesAt: "i32",
  runOffsetsAt: "i32",
  runsAt: "i32"
};
function tileOf(rows) {
  return `struct Tile { index: i32, batch: i32, keyHead: i32, firstHead: i32, firstRow: i32, rowCount: i32, validKeys: i32, shift: i32, perRow: f32 }
struct Row { token: i32, head: i32 }
fn tileOf(group: i32) -> Tile {
  let plane = group / parameters.tiles;
  let planes = parameters.queryHeads / parameters.packed;
  var tile: Tile;
  tile.index = parameters.tiles - 1 - group % parameters.tiles;
  tile.batch = plane / planes;
  tile.firstHead = plane % planes * parameters.packed;
  tile.keyHead = tile.firstHead / parameters.group;
  tile.firstRow = tile.index * ${rows};
  tile.rowCount = min(${rows}, parameters.queryLength * parameters.packed - tile.firstRow);
  tile.validKeys = validKeysOf(tile.batch);
  tile.shift = positionOf(0, tile.validKeys);
  tile.perRow = 1.0 / f32(parameters.packed);
  return tile;
}
fn rowOf(tile: Tile, row: i32) -> Row {
  let index = tile.firstRow + row;
  let token = select(index, i32((f32(index) + 0.5) * tile.perRow), parameters.packed > 1);
  return Row(token, tile.firstHead + index - token * parameters.packed);
}`;
}
function walkTiles(keys, walk, body) {
  if (walk.blockMap) {
    return `let mapRow = i32(context[parameters.planesAt + tile.batch * parameters.queryHeads + tile.firstHead]) * parameters.tiles + tile.index;
  let runEnd = i32(context[parameters.runOffsetsAt + mapRow + 1]);
  for (var run = i32(context[parameters.runOffsetsAt + mapRow]); run < runEnd; run++) {
    let partial = context[parameters.runsAt + 3 * run + 2] == 0u;
    let stopKey = i32(context[parameters.runsAt + 3 * run + 1]) * ${keys};
    for (var tileKey = i32(context[parameters.runsAt + 3 * run]) * ${keys}; tileKey < stopKey; tileKey += ${keys}) {
      let masked = partial || tileKey + ${keys} > tile.validKeys;
      ${body}
    }
  }`;
  }
  return `let firstPosition = tile.shift + tile.firstRow / parameters.packed;
  let lastPosition = tile.shift + (tile.firstRow + tile.rowCount - 1) / parameters.packed;
  let stopKey = endKey(lastPosition, tile.validKeys);
  let fullStart = firstKey(lastPosition, tile.validKeys);
  let fullEnd = endKey(firstPosition, tile.validKeys);
  for (var tileKey = firstKey(firstPosition, tile.validKeys) / ${keys} * ${keys}; tileKey < stopKey; tileKey += ${keys}) {
    let masked = ${walk.mask ? "true" : `tileKey < fullStart || tileKey + ${keys} > fullEnd`};
    ${body}
  }`;
}

// ../../../work/main/packages/webgpu/src/kernels/gradient-query.wgsl.ts
var gradientQuery = {
  name: "gradient-query",
  interface(spec) {
    const { parameters, buffers } = gradientInterface(spec, spec.blockMap);
    const vectors = spec.problem.headDim % 4 === 0;
    return {
      parameters: { ...parameters, ...tileWalkParameters },
      buffers: { ...buffers, dQuery: { type: vectors ? "array<vec4f>" : "array<f32>", access: "read_write" } }
    };
  },
  code(spec) {
    const { problem, tile, blockMap } = spec;
    const { headDim, valueDim } = problem;
    const { rowGroups, columns, depth } = tile;
    const invocations = rowGroups * columns;
    const [rows, keys] = [4 * rowGroups, 4 * columns];
    const { row, column, weight } = gradientTiles(tile);
    const plan = planColumns(column, Math.ceil(headDim / 4));
    const ownRow = (group, part) => `rowOf(tile, min(${part} * ${rowGroups} + ${group}, tile.rowCount - 1))`;
    const product = (dim, left, right, sum) => phasesOf(dim, depth).map(({ first, octets }) => `workgroupBarrier();
    ${stageRows(row, octets, invocations, (group, part, chunk) => `${left}(tile, ${ownRow(group, part)}, ${first} + ${chunk})`)}
    ${stageRows(column, octets, invocations, (group, part, chunk) => `${right}(tile.batch, tile.keyHead, min(tileKey + 4 * ${group} + ${part}, tile.validKeys - 1), ${first} + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows(row.name, column.name, octets, sum)}`).join("\n    ");
    return `${declarations(this.interface(spec))}
${gradientFunctions(spec)}
${gradientTileFunctions(tile, problem)}
${storeGradient("dQuery", headDim % 4 === 0)}
${tileOf(rows)}
fn queryOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return queryAt(tile.batch, row.head, row.token, chunk); }
fn dOutputOf(tile: Tile, row: Row, chunk: i32) -> vec4f { return dOutputAt(tile.batch, row.head, row.token, chunk); }

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = ${remainder("lane", columns)};
  let rowGroup = ${quotient("lane", columns)};
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  var dq = array<array<vec4f, 4>, ${plan.bands}>();
  ${walkTiles(keys, { blockMap, mask: problem.mask || problem.maskCode !== void 0 }, `
    let firstOwnKey = tileKey + column * 4;
    let hides = masked${problem.bias === void 0 ? "" : " || true"};
    var s = array<vec4f, 4>();
    var d = array<vec4f, 4>();
    ${product(headDim, "queryOf", "keyAt", "s")}
    ${product(valueDim, "dOutputOf", "valueAt", "d")}
    for (var r = 0; r < 4; r++) {
      let own = ${ownRow("rowGroup", "r")};
      let position = tile.shift + own.token;
      let first = firstKey(position, tile.validKeys);
      let end = endKey(position, tile.validKeys);
      let statistics = rowStatistics[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token];
      for (var j = 0; j < 4; j++) {
        let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
        let seen = !hides || (at.key >= first && at.key < end && isSeen(at));
        d[r][j] = select(0.0, pairGradient(s[r][j], d[r][j], statistics, at).scaled, seen);
      }
      ${storeWeights(weight, "d[r]")}
    }
    ${multiplyColumns(weight, column, plan, stageColumns(column, plan, invocations, (group, part, chunk) => `finiteOnly(keyAt(tile.batch, tile.keyHead, min(tileKey + 4 * (phase * ${plan.groups} + ${group}) + ${part}, tile.validKeys - 1), ${chunk}), hides)`), "dq")}
  `)}

  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * ${rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    let start = ((tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token) * ${headDim};
    for (var band = 0; band < ${plan.bands}; band++) { store(start, band * ${columns} + column, ${headDim}, dq[band][r] * parameters.scale); }
  }
}
`;
  }
};

// ../../../work/main/packages/webgpu/src/snippets/row-reduction.wgsl.ts
function rowReduction({ name, slots }, columns, subgroups) {
  if (subgroups) {
    const steps = [1, 2, 4, 8].filter((step2) => step2 < columns);
    const tree = (combine) => steps.map((step2) => `y = ${combine(`subgroupShuffleXor(y, ${step2}u)`)};`).join(" ");
    return `fn rowMaximum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((other) => `max(y, ${other})`)} return y; }
fn rowSum(x: vec4f, lane: i32) -> vec4f { var y = x; ${tree((other) => `y + ${other}`)} return y; }`;
  }
  const reduce = (fn, combine) => `fn ${fn}(x: vec4f, lane: i32) -> vec4f {
  let column = ${remainder("lane", columns)};
  let group = ${quotient("lane", columns)};
  workgroupBarrier();
  ${name}[0][${swizzled("group", "column", 8 * slots)}] = x;
  workgroupBarrier();
  var y = ${name}[0][group * ${columns}];
  for (var i = 1; i < ${columns}; i++) { y = ${combine}(y, ${name}[0][group * ${columns} + i]); }
  workgroupBarrier();
  return y;
}`;
  return `fn sum(a: vec4f, b: vec4f) -> vec4f { return a + b; }
${reduce("rowMaximum", "max")}
${reduce("rowSum", "sum")}`;
}

// ../../../work/main/packages/webgpu/src/kernels/prefill.wgsl.ts
var prefill = {
  name: "prefill",
  interface({ problem, output, blockMap }) {
    const { parameters, buffers } = problemInterface(problem, blockMap);
    return {
      parameters: {
        ...parameters,
        ...tileWalkParameters,
        outputOffset: "i32",
        outputStride0: "i32",
        outputStride1: "i32",
        outputStride2: "i32",
        outputStride3: "i32"
      },
      buffers: {
        ...buffers,
        output: declareElements(output, "read_write"),
        lse: { type: "array<u32>", access: "read_write" }
      }
    };
  },
  code(spec) {
    const { problem, output, subgroups, blockMap } = spec;
    const { rowGroups, columns, depth } = spec.tile;
    const invocations = rowGroups * columns;
    const [rows, keys] = [4 * rowGroups, 4 * columns];
    const queryTile = { name: "queryTile", groups: rowGroups, slots: depth / 32 };
    const keyTile = { name: "keyTile", groups: columns, slots: depth / 32 };
    const weightTile = { name: "weightTile", groups: rowGroups, slots: columns / 8 };
    const phases = phasesOf(problem.headDim, depth);
    const valueChunks = Math.max(1, Math.ceil(problem.valueDim / 4));
    const values = planColumns(keyTile, valueChunks);
    const plain = isPlain(problem);
    const stageQuery = ({ first, octets }) => stageRows(queryTile, octets, invocations, (_group, _part, chunk) => `queryAt(stagedQuery[i], ${first} + ${chunk})`);
    const eachRow = (code) => `for (var r = 0; r < 4; r++) { ${code} }`;
    return `${subgroups ? "enable subgroups;" : ""}
${declarations(this.interface(spec))}
${problemFunctions(problem)}
${writeVector("output", output, problem.valueDim)}
${base("output")}
${[queryTile, keyTile].map(declareTile).join("\n")}
${declareWeights(weightTile)}
${rowReduction(weightTile, columns, subgroups)}
${tileOf(rows)}

fn queryAt(row: i32, chunk: i32) -> vec4f { return ${chunkOrZeros("query", "row", problem.headDim)} * (parameters.scale${plain ? " * log2e" : ""}); }
fn keyAt(row: KeyRow, chunk: i32) -> vec4f { return ${chunkOrZeros("key", "row", problem.headDim)}; }
fn valueAt(row: ValueRow, chunk: i32, hides: bool) -> vec4f {
  let x = ${chunkOrZeros("value", "row", problem.valueDim)};
  if (!hides) { return x; }
  return ${finite("x")};
}
${addDot}

@compute @workgroup_size(${invocations})
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) localIndex: u32) {
  let lane = i32(localIndex);
  let column = ${remainder("lane", columns)};
  let rowGroup = ${quotient("lane", columns)};
  let tile = tileOf(i32(groupId.x) + parameters.firstGroup);

  /* The rows that this invocation stages, of queries and of the first tile of keys. Past the last key it reads what is masked. */
  var stagedQuery: array<i32, ${4 * 8 * rowGroups / invocations}>;
  for (var i = 0; i < ${4 * 8 * rowGroups / invocations}; i++) {
    let part = i * ${invocations / (8 * rowGroups)} + ${firstStaged(queryTile, invocations).part};
    let own = rowOf(tile, min(part * ${rowGroups} + ${firstStaged(queryTile, invocations).group}, tile.rowCount - 1));
    stagedQuery[i] = queryBase(tile.batch, own.head, own.token);
  }
  let stagedKey = keyBase(tile.batch, tile.keyHead, 4 * ${firstStaged(keyTile, invocations).group} + ${firstStaged(keyTile, invocations).part});
  let stagedValue = valueBase(tile.batch, tile.keyHead, 4 * ${remainder(quotient("lane", columns), values.groups)} + ${firstStaged(keyTile, invocations).part});

  var m = vec4f(lowest);
  var l = vec4f();
  var o: array<array<vec4f, 4>, ${values.bands}>;
  ${phases.length === 1 ? phases.map(stageQuery).join("") : ""}
  ${walkTiles(keys, { blockMap, mask: problem.mask || problem.maskCode !== void 0 }, `
    let firstOwnKey = tileKey + column * 4;
    let hides = ${problem.bias || problem.scoreCode ? "true" : "masked"};
    var s = array<vec4f, 4>();
    ${phases.map((phase) => `workgroupBarrier();
    ${phases.length === 1 ? "" : stageQuery(phase)}
    ${stageRows(keyTile, phase.octets, invocations, (_group, _part, chunk, step2) => `keyAt(stagedKey + (tileKey + ${step2}) * keyStep(), ${phase.first} + ${chunk})`)}
    workgroupBarrier();
    ${multiplyRows("queryTile", "keyTile", phase.octets, "s")}`).join("\n    ")}
    ${plain ? "if (masked) {" : "{"}
      ${eachRow(`
        let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
        let position = tile.shift + own.token;
        let first = firstKey(position, tile.validKeys);
        let end = endKey(position, tile.validKeys);
        for (var j = 0; j < 4; j++) {
          let at = Pair(tile.batch, own.head, position, firstOwnKey + j, own.token);
          let visible = !masked || (at.key >= first && at.key < end && isVisible(at));
          ${plain ? "" : "s[r][j] = finalScore(s[r][j], at) * log2e;"}
          s[r][j] = select(lowest, s[r][j], visible);
        }
      `)}
    }

    let t = rowMaximum(vec4f(${[0, 1, 2, 3].map((r) => `max(max(s[${r}].x, s[${r}].y), max(s[${r}].z, s[${r}].w))`).join(", ")}), lane);
    if (any(t > m + 8.0)) {
      let rescale = exp2(m - max(m, t));
      m = max(m, t);
      l *= rescale;
      for (var band = 0; band < ${values.bands}; band++) { ${eachRow("o[band][r] *= rescale[r];")} }
    }
    ${eachRow(`
      let p = exp2(s[r] - select(m[r], 0.0, m[r] == lowest));
      l[r] += (p.x + p.y) + (p.z + p.w);
      ${storeWeights(weightTile, problem.dropout ? "keptWeights(tile, rowGroup, r, firstOwnKey, p)" : "p")}
    `)}

    ${multiplyColumns(weightTile, keyTile, values, stageColumns(keyTile, values, invocations, (_group, _part, chunk, step2) => `valueAt(stagedValue + (tileKey + phase * ${4 * values.groups} + ${step2}) * valueStep(), ${chunk}, hides)`), "o")}
  `)}

  let sums = rowSum(l, lane);
  for (var r = 0; r < 4; r++) {
    let row = rowGroup + r * ${rowGroups};
    if (row >= tile.rowCount) { continue; }
    let own = rowOf(tile, row);
    var reference = m[r];
    var total = sums[r];
    var factor = 1.0;
    ${problem.sinks ? `let sink = sinkOf(own.head);
    reference = max(reference, sink);
    factor = exp2(m[r] - reference);
    total = total * factor + select(0.0, exp2(sink - reference), sink > lowest);` : ""}
    let empty = total == 0.0;
    total = select(total, 1.0, empty);
    let outputRow = outputBase(tile.batch, own.head, own.token);
    for (var band = 0; band < ${values.bands}; band++) {
      let chunk = band * ${columns} + column;
      ${values.bands * columns === valueChunks ? "" : `if (chunk < ${valueChunks}) `}{ outputStore(outputRow, chunk, o[band][r] * (factor / total)); }
    }
    if (column == 0) {
      lse[(tile.batch * parameters.queryHeads + own.head) * parameters.queryLength + own.token] = select(bitcast<u32>(fma(reference, ln2, log(total))), 0xff800000u, empty);
    }
  }
}
${problem.dropout ? keptWeights(rowGroups) : ""}
`;
  }
};
function keptWeights(rowGroups) {
  return `fn keptWeights(tile: Tile, rowGroup: i32, r: i32, firstKey: i32, p: vec4f) -> vec4f {
  let own = rowOf(tile, min(rowGroup + r * ${rowGroups}, tile.rowCount - 1));
  var weights = p;
  for (var j = 0; j < 4; j++) { weights[j] *= kept(Pair(tile.batch, own.head, tile.shift + own.token, firstKey + j, own.token)); }
  return weights;
}`;
}

// ../../../work/main/packages/webgpu/instruction-mix/kernels.ts
function measuredKernels() {
  return ["float32", "float16"].flatMap((dtype) => [64, 128].flatMap((headDim) => kernelsOf(headDim, dtype)));
}
function kernelsOf(headDim, dtype) {
  const access = { dtype, vectors: true };
  const problem = {
    headDim,
    valueDim: headDim,
    query: access,
    key: access,
    value: access,
    bias: void 0,
    softcap: false,
    sinks: false,
    lengths: false,
    mask: false,
    dropout: false,
    scoreCode: void 0,
    maskCode: void 0,
    captureRanks: [],
    scalarTypes: []
  };
  const tile = tiles[headDim];
  const products = (count) => 16 * headDim * count;
  const rows = headDim === 64 ? [8] : [8, 8];
  const columns = headDim === 64 ? [8] : [2, 8];
  const gradient = { problem, dOutput: access, slopeCode: void 0, tile };
  const shaders = [
    {
      kernel: "prefill",
      code: prefill.code({ problem, output: access, tile, subgroups: true, blockMap: false }),
      work: { trips: [...rows, ...columns], multiplyAdds: products(2) }
    },
    {
      kernel: "gradient-query",
      code: gradientQuery.code({ ...gradient, blockMap: false }),
      work: { trips: [...rows, ...rows, ...columns], multiplyAdds: products(3) }
    },
    {
      kernel: "gradient-key-value",
      code: gradientKeyValue.code(gradient),
      work: { trips: [...rows, ...rows, ...columns, ...columns], multiplyAdds: products(4) }
    },
    {
      kernel: "decode",
      code: decode.code({ problem, output: access, rows: 4, lanes: 16, subgroups: true }),
      // Four rows, and of each key a sixteenth of its elements.
      work: { trips: [], multiplyAdds: 4 * 2 * headDim / 16 }
    }
  ];
  return shaders.map((shader) => ({ ...shader, name: `${shader.kernel}-${headDim}-${dtype}` }));
}
var tiles = {
  64: { rowGroups: 16, columns: 8, depth: 64 },
  128: { rowGroups: 8, columns: 16, depth: 64 }
};

// ../../../work/main/packages/webgpu/instruction-mix/compiler.ts
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

// ../../../work/main/packages/webgpu/instruction-mix/listing.ts
var nothing = { vector: 0, multiplyAdds: 0, workgroupReads: 0, workgroupAccesses: 0, barriers: 0, memory: 0 };
function addMix(a, b, times = 1) {
  return {
    vector: a.vector + times * b.vector,
    multiplyAdds: a.multiplyAdds + times * b.multiplyAdds,
    workgroupReads: a.workgroupReads + times * b.workgroupReads,
    workgroupAccesses: a.workgroupAccesses + times * b.workgroupAccesses,
    barriers: a.barriers + times * b.barriers,
    memory: a.memory + times * b.memory
  };
}
function readListing(printout) {
  const lines = disassembly(printout);
  const spans = loopSpans(lines);
  const innermost = lines.map((_, line) => spans.findLastIndex(({ start, end }) => start <= line && line <= end));
  const rare = rareLines(lines, innermost);
  return {
    vectorRegisters: statistic(printout, "VGPRs"),
    spilledRegisters: statistic(printout, "Spilled VGPRs"),
    wavesPerSimd: statistic(printout, "Subgroups per SIMD"),
    workgroupBytes: statistic(printout, "LDS size"),
    loops: spans.map(({ start, end }, index) => {
      const parent = spans.findLastIndex((other, place) => place < index && other.start <= start && end <= other.end);
      const ownLines = lines.map((_, line) => line).filter((line) => innermost[line] === index);
      const mixOf = (some) => some.map((line) => mixOfLine(lines[line] ?? "")).reduce((a, b) => addMix(a, b), nothing);
      return { parent: parent < 0 ? void 0 : parent, own: mixOf(ownLines), rare: mixOf(ownLines.filter((line) => rare.has(line))) };
    })
  };
}
function statistic(printout, name) {
  const found = [...printout.matchAll(new RegExp(`^${name}: (\\d+)`, "gm"))].at(-1)?.[1];
  if (found === void 0) throw new Error(`the compiler printed no "${name}: \u2026"; it has to print shader statistics`);
  return Number(found);
}
function disassembly(printout) {
  const start = printout.lastIndexOf("disasm:");
  if (start < 0) throw new Error('the compiler printed no "disasm:"; it has to print the code of shaders');
  const lines = printout.slice(start).split("\n").slice(1);
  const end = lines.findIndex((line) => line.startsWith("***") || line.startsWith("Compute Shader"));
  return (end < 0 ? lines : lines.slice(0, end)).map((line) => line.replace(/;.*/, "").trim());
}
function loopSpans(lines) {
  const last = /* @__PURE__ */ new Map();
  for (const { from, to } of branches(lines)) if (to <= from) last.set(to, Math.max(from, last.get(to) ?? from));
  return [...last].map(([start, end]) => ({ start, end })).sort((a, b) => a.start - b.start || b.end - a.end);
}
function branches(lines) {
  const labels = new Map(lines.flatMap((line, at) => /^BB\d+:$/.test(line) ? [[line.slice(0, -1), at]] : []));
  return lines.flatMap((line, from) => {
    const [, condition, label = ""] = /^s_(c?)branch\S*\s+(BB\d+)/.exec(line) ?? [];
    const to = labels.get(label);
    return to === void 0 ? [] : [{ from, to, conditional: condition === "c" }];
  });
}
function rareLines(lines, innermost) {
  const rare = /* @__PURE__ */ new Set();
  for (const { from, to, conditional } of branches(lines)) {
    if (!conditional || to <= from) continue;
    const skipped = lines.slice(from + 1, to).map((line, index) => ({ mix: mixOfLine(line), at: from + 1 + index }));
    const onlyComputes = skipped.every(({ mix, at }) => innermost[at] === innermost[from] && mix.barriers + mix.memory + mix.workgroupAccesses === 0);
    if (onlyComputes) for (const { at } of skipped) rare.add(at);
  }
  return rare;
}
var multiplyAdd = /^v_(pk_|dual_)?(fma|fmac|fmamk|fmaak|mad|mac|dot2)_?/;
function mixOfLine(line) {
  const [name = ""] = line.split(/\s/);
  const halves = line.split("::").map((half) => half.trim());
  const products = halves.filter((half) => multiplyAdd.test(half) && !/^v_mad_[iu]/.test(half)).length;
  return {
    vector: name.startsWith("v_") ? 1 : 0,
    multiplyAdds: products * (/^v_(pk_|dot2)/.test(name) ? 2 : 1),
    workgroupReads: /^ds_(read|load)/.test(name) ? 1 : 0,
    workgroupAccesses: name.startsWith("ds_") ? 1 : 0,
    barriers: name === "s_barrier" ? 1 : 0,
    memory: /^(buffer|global|flat|scratch|image)_/.test(name) ? 1 : 0
  };
}

// ../../../work/main/packages/webgpu/instruction-mix/compiler.ts
var families = ["navi21", "gfx1100"];
var compiler = process.env["QKV_SHADER_COMPILER"];
function compile(shaders, family) {
  if (compiler === void 0) throw new Error("QKV_SHADER_COMPILER names no compiler");
  const folder = mkdtempSync(join(tmpdir(), "instruction-mix-"));
  try {
    const files = [...shaders].map(([name, code]) => {
      const file = join(folder, `${name}.wgsl`);
      writeFileSync(file, code);
      return file;
    });
    const [program = "", ...options] = compiler.split(" ");
    const { status, stderr } = spawnSync(program, [...options, "--family", family, "--dump", folder, ...files], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      encoding: "utf8",
      maxBuffer: 2 ** 28
    });
    if (status !== 0) throw new Error(`${compiler} failed on ${family}: ${stderr.slice(0, 400)}`);
    return new Map([...shaders.keys()].map((name) => [name, readListing(readFileSync(join(folder, `${name}.wgsl.${family}.txt`), "utf8"))]));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

// ../../../work/main/packages/webgpu/instruction-mix/figures.ts
function figures(listing, { trips, multiplyAdds }) {
  const { loops, vectorRegisters, spilledRegisters, wavesPerSimd, workgroupBytes } = listing;
  const key = keyLoop(loops, trips.length);
  const inside = loops.map((_, index) => index).filter((index) => isInside(loops, index, key));
  const counts = /* @__PURE__ */ new Map([[key, 1]]);
  inside.forEach((index, place) => counts.set(index, (trips[place] ?? 1) * (counts.get(loops[index]?.parent ?? key) ?? 1)));
  const total = (part) => [...counts].reduce((sum, [index, count]) => addMix(sum, part(loops[index] ?? noLoop), count), nothing);
  const [all, rare] = [total(({ own }) => own), total(({ rare: rare2 }) => rare2)];
  const products = (inside.length === 0 ? [key] : inside).map((index) => loops[index]?.own ?? nothing).filter(isProduct);
  return {
    vectorRegisters,
    spilledRegisters,
    wavesPerSimd,
    workgroupBytes,
    productShares: products.map((mix) => mix.multiplyAdds / mix.vector),
    productsPerRead: products.map((mix) => mix.multiplyAdds / mix.workgroupReads),
    keyLoopShare: multiplyAdds / all.vector,
    slotsPerProduct: (all.vector + all.workgroupAccesses) / multiplyAdds,
    usualSlotsPerProduct: (all.vector - rare.vector + all.workgroupAccesses) / multiplyAdds
  };
}
var noLoop = { parent: void 0, own: nothing, rare: nothing };
var isProduct = ({ multiplyAdds, vector }) => multiplyAdds >= 32 && 2 * multiplyAdds > vector;
function isInside(loops, index, outer) {
  const parent = loops[index]?.parent;
  return parent !== void 0 && (parent === outer || isInside(loops, parent, outer));
}
function keyLoop(loops, inner) {
  const insideOf = (outer) => loops.map((_, index) => index).filter((index) => isInside(loops, index, outer));
  const productsOf = (outer) => [outer, ...insideOf(outer)].reduce((sum, index) => sum + (loops[index]?.own.multiplyAdds ?? 0), 0);
  const candidates = loops.map((_, index) => index).filter((index) => insideOf(index).length === inner);
  const best = candidates.sort((a, b) => productsOf(b) - productsOf(a) || b - a)[0];
  if (best === void 0) {
    throw new Error(`no loop has ${inner} loops inside; there are loops with ${loops.map((_, index) => insideOf(index).length).join(", ")}`);
  }
  return best;
}

// quick.ts
import { readFileSync as readFileSync2 } from "node:fs";
var want = new RegExp(process.argv[2] ?? ".");
var kernels = measuredKernels().filter((k) => want.test(k.name));
var peer = process.argv[3] === "peer";
for (const family of families) {
  const shaders = new Map(kernels.map((k) => [k.name, k.code]));
  const ort = ["64-float32", "128-float32", "64-float16", "128-float16"];
  if (peer) for (const n of ort) shaders.set("ort-" + n, readFileSync2(`/tmp/qkv/mix/ort-${n}.wgsl`, "utf8"));
  const out = compile(shaders, family);
  const show = (n, w) => {
    try {
      const l = out.get(n);
      const f = figures(l, w);
      console.log(family.padEnd(8), n.padEnd(30), "share", f.productShares.map((x) => x.toFixed(3)).join(" "), "perRead", f.productsPerRead.map((x) => x.toFixed(1)).join(" "), "loop", f.keyLoopShare.toFixed(3), "slots", f.slotsPerProduct.toFixed(3), "usual", f.usualSlotsPerProduct.toFixed(3), "vgpr", f.vectorRegisters, "spill", f.spilledRegisters, "waves", f.wavesPerSimd, "lds", f.workgroupBytes);
    } catch (e) {
      console.log(family, n, String(e));
    }
  };
  for (const k of kernels) show(k.name, k.work);
  if (peer) for (const n of ort) {
    const d = parseInt(n);
    const load = d / 16;
    const one = new Array(16).fill(1);
    show("ort-" + n, { trips: family === "navi21" ? [load, load] : [load, load, d / 4, ...one, d / 4, ...one], multiplyAdds: 16 * 2 * d });
  }
}
