struct Parameters { firstGroup: i32, count: i32, groups: i32, elements: i32, rank: i32, size0: i32, size1: i32, size2: i32, size3: i32, sourceOffset: i32, sourceStride0: i32, sourceStride1: i32, sourceStride2: i32, sourceStride3: i32, codesOffset: i32, codesStride0: i32, codesStride1: i32, codesStride2: i32, codesStride3: i32, scalesOffset: i32, scalesStride0: i32, scalesStride1: i32, scalesStride2: i32, scalesStride3: i32, sourceStep: i32, codesStep: i32, scalesStep: i32 }
@group(0) @binding(0) var<uniform> parameters: Parameters;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> codes: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read_write> scales: array<u32>;
fn sourceBits(index: i32) -> u32 { return (source[index / 2] >> u32(16 * (index % 2))) & 65535u; }
fn sourceOf(bits: u32) -> f32 { return unpack2x16float(bits).x; }

fn significandOf(x: u32) -> u32 { return (x & 0x7fffffu) | select(0x800000u, 0u, (x & 0x7f800000u) == 0u); }
fn exponentOf(x: u32) -> i32 { return max(i32((x >> 23u) & 0xffu), 1); }

/* largest / 7, to the nearest even: 24 bits of a longer quotient, whose last bit says whether anything is left over. */
fn scaleOf(largest: u32) -> u32 {
  if (largest <= 3u) { return 0u; }
  if (largest >= 0x7f800000u) { return largest; }
  let zeros = countLeadingZeros(significandOf(largest));
  let whole = significandOf(largest) << zeros;
  let quotient = whole / 7u * 2u + min(whole % 7u, 1u);
  let exponent = exponentOf(largest) - i32(zeros) - 1;
  let surplus = max(8 - i32(countLeadingZeros(quotient)), 1 - exponent);
  let rounding = (1u << u32(surplus - 1)) - 1u + ((quotient >> u32(surplus)) & 1u);
  return (u32(exponent + surplus - 1) << 23u) + ((quotient + rounding) >> u32(surplus));
}

fn codeOf(x: u32, scale: u32) -> i32 {
  let distance = exponentOf(x) - exponentOf(scale);
  if (scale == 0u || scale >= 0x7f800000u || distance < -1) { return 0; }
  let negative = x >> 31u;
  let divisor = significandOf(scale);
  let twice = significandOf(x) << u32(distance + 1);
  let code = i32(min((twice + divisor - negative) / (2u * divisor), 7u));
  return select(code, -code, negative == 1u);
}

fn put(word: i32, mask: u32, bits: u32) {
  if (mask == 0u) { return; }
  if (mask == 0xffffffffu) { atomicStore(&codes[word], bits); return; }
  atomicAnd(&codes[word], ~mask);
  atomicOr(&codes[word], bits);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) groupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let index = (i32(groupId.x) + parameters.firstGroup) * 64 + i32(lane);
  if (index >= parameters.count) { return; }
  let group = index % parameters.groups;
  let first = group * parameters.elements;
  var rest = index / parameters.groups;
  var sourceIndex = parameters.sourceOffset; var codesIndex = parameters.codesOffset; var scalesIndex = parameters.scalesOffset;
  if (parameters.rank > 0) { let i = rest % parameters.size0; rest /= parameters.size0; sourceIndex += i * parameters.sourceStride0; codesIndex += i * parameters.codesStride0; scalesIndex += i * parameters.scalesStride0; }
  if (parameters.rank > 1) { let i = rest % parameters.size1; rest /= parameters.size1; sourceIndex += i * parameters.sourceStride1; codesIndex += i * parameters.codesStride1; scalesIndex += i * parameters.scalesStride1; }
  if (parameters.rank > 2) { let i = rest % parameters.size2; rest /= parameters.size2; sourceIndex += i * parameters.sourceStride2; codesIndex += i * parameters.codesStride2; scalesIndex += i * parameters.scalesStride2; }
  if (parameters.rank > 3) { let i = rest % parameters.size3; rest /= parameters.size3; sourceIndex += i * parameters.sourceStride3; codesIndex += i * parameters.codesStride3; scalesIndex += i * parameters.scalesStride3; }

  var largest = 0u;
  for (var c = first; c < first + parameters.elements; c++) { largest = max(largest, elementAt(sourceIndex, c) & 0x7fffffffu); }
  let scale = scaleOf(largest);
  scales[scalesIndex + group * parameters.scalesStep] = scale;

  var word = 0;
  var mask = 0u;
  var bits = 0u;
  for (var c = first; c < first + parameters.elements; c++) {
    let byte = codesIndex + (c >> 1u) * parameters.codesStep;
    let shift = 8u * u32(byte & 3) + 4u * u32(c & 1);
    let code = u32(codeOf(elementAt(sourceIndex, c), scale) + 8) & 15u;
    if (byte >> 2u != word) {
      put(word, mask, bits);
      word = byte >> 2u;
      mask = 0u;
      bits = 0u;
    }
    mask |= 15u << shift;
    bits |= code << shift;
  }
  put(word, mask, bits);
}

fn elementAt(row: i32, c: i32) -> u32 { return bitcast<u32>(sourceOf(sourceBits(row + c * parameters.sourceStep))); }
