import { arrayConstructors, bytesPerElement, dtypes, type ArrayOf, type Dtype, type TypedArray } from './dtype.ts'
import { describe, type QkvError } from './errors.ts'
import { refusal } from './refusal.ts'
import { contiguousStrides, elementCount, reach } from './strides.ts'

/** Memory that a backend owns: a GPU buffer, a range of WebAssembly memory. Only its backend looks inside. */
export interface DeviceStorage {
  /** The backend's own mark; a backend refuses storage that does not carry its mark. */
  readonly owner: symbol
  readonly byteLength: number
}

export type Storage = TypedArray | DeviceStorage

/**
 * An n-dimensional view of storage: element `[i, j, …]` is at `offset + i·strides[0] + j·strides[1] + …`, counted in
 * elements. Plain data; views share storage, so transposing or slicing copies nothing.
 */
export interface Tensor<S extends Storage = Storage> {
  readonly dtype: Dtype
  readonly shape: readonly number[]
  readonly strides: readonly number[]
  readonly offset: number
  readonly storage: S
}

/** A tensor over a typed array, accepted by every backend. */
export type HostTensor = Tensor<TypedArray>

/** A tensor whose memory the holder must give back, with `dispose()` or `using`. Views of it do not outlive it. */
export interface OwnedTensor extends Tensor, Disposable {
  dispose(): void
}

export interface TensorOptions {
  readonly dtype?: Dtype
  /** In elements; default row-major without gaps. */
  readonly strides?: readonly number[]
  /** In elements; default 0. */
  readonly offset?: number
}

/**
 * A tensor over `data`, which is not copied. The dtype follows the array (`Float32Array` → float32, `Int8Array` → int8,
 * `Uint8Array` → uint8, `Int32Array` → int32, `Float16Array` → float16, `boolean[]` → bool, `number[]` → float32; the
 * last two are copied); a `Uint16Array` holds half bits and needs `dtype: 'float16' | 'bfloat16'`.
 *
 * @throws QkvError `DTYPE_UNSUPPORTED`, `OPTION_INVALID` for a number that the dtype does not hold, or `SHAPE_MISMATCH`
 * where the shape and strides reach outside `data`.
 */
export function tensor(
  data: TypedArray | ArrayBufferView | readonly number[] | readonly boolean[],
  shape: readonly number[],
  options: TensorOptions = {},
): HostTensor {
  const { array, dtype } = typedData(data, options.dtype)
  const strides = options.strides ?? contiguousStrides(shape)
  const view = { dtype, shape: [...shape], strides: [...strides], offset: options.offset ?? 0, storage: array }
  checkLayout('tensor', 'shape', view)
  return view
}

/** A new host tensor of zeros. */
export function zeros(shape: readonly number[], dtype: Dtype = 'float32'): HostTensor {
  checkShape('zeros', 'shape', shape)
  const storage = new arrayConstructors[dtype](elementCount(shape))
  return { dtype, shape: [...shape], strides: contiguousStrides(shape), offset: 0, storage }
}

export function isHostTensor(value: Tensor): value is HostTensor {
  return ArrayBuffer.isView(value.storage)
}

/** Whether `value` has a tensor's parts; what they hold is {@link checkTensor}'s to say. */
export function isTensor(value: unknown): value is Tensor {
  return typeof value === 'object' && value !== null && 'storage' in value && 'shape' in value && 'strides' in value
}

/** @throws QkvError naming `argument` unless `value` is a tensor whose every element lies in its storage. */
export function checkTensor(operation: string, argument: string, value: unknown): asserts value is Tensor {
  if (!isTensor(value)) {
    throw refusal('OPTION_INVALID', operation, argument, 'a tensor (make one with tensor(data, shape))', describe(value))
  }
  checkLayout(operation, argument, value)
}

function checkLayout(operation: string, argument: string, view: Tensor): void {
  const { shape, strides, offset, storage, dtype } = view
  if (!dtypes.includes(dtype)) {
    throw refusal('DTYPE_UNSUPPORTED', operation, `${argument}.dtype`, `one of ${dtypes.join(', ')}`, describe(dtype))
  }
  checkShape(operation, argument, shape)
  if (strides.length !== shape.length || !strides.every(Number.isSafeInteger)) {
    throw refusal(
      'SHAPE_MISMATCH',
      operation,
      `${argument}.strides`,
      `a whole number for each dimension of [${shape.join(',')}]`,
      describe(strides),
    )
  }
  const length = Math.floor(storage.byteLength / bytesPerElement[dtype])
  const { first, last } = reach(shape, strides, offset)
  if (!Number.isSafeInteger(offset) || (last >= first && (first < 0 || last >= length))) {
    throw refusal(
      'SHAPE_MISMATCH',
      operation,
      argument,
      `within its storage of ${length} elements`,
      `shape [${shape.join(',')}], strides [${strides.join(',')}], offset ${offset}, which reach elements ${first} to ${last}`,
    )
  }
}

function checkShape(operation: string, argument: string, shape: readonly number[]): void {
  if (Array.isArray(shape) && shape.every(isSize) && Number.isSafeInteger(elementCount(shape))) return
  throw refusal('SHAPE_MISMATCH', operation, argument, 'an array of whole numbers ≥ 0', describe(shape))
}

function isSize(size: unknown): boolean {
  return Number.isSafeInteger(size) && Number(size) >= 0
}

function typedData(
  data: TypedArray | ArrayBufferView | readonly number[] | readonly boolean[],
  dtype: Dtype | undefined,
): { array: TypedArray; dtype: Dtype } {
  if (Array.isArray(data)) {
    const kind = dtype ?? (typeof data[0] === 'boolean' ? 'bool' : 'float32')
    if (kind === 'float16' || kind === 'bfloat16') throw unsupported(data, dtype)
    const numbers = Array.from<unknown, number>(data, Number)
    const array = new arrayConstructors[kind](numbers)
    if (kind !== 'float32') checkHeld(numbers, array, kind)
    return { array, dtype: kind }
  }
  if (ArrayBuffer.isView(data)) {
    if (Object.prototype.toString.call(data) === '[object Float16Array]' && (dtype ?? 'float16') === 'float16') {
      return { array: new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2), dtype: 'float16' }
    }
    const kind = dtype ?? dtypeOfArray(data)
    if (kind !== undefined && holds(data, kind)) return { array: data, dtype: kind }
  }
  throw unsupported(data, dtype)
}

/** An integer array would take 1.5 for 1, and 300 for 44 where it holds bytes. */
function checkHeld(numbers: readonly number[], array: TypedArray, dtype: Dtype): void {
  const wrong = numbers.findIndex((number, index) => number !== array[index])
  if (wrong < 0) return
  throw refusal('OPTION_INVALID', 'tensor', `data[${wrong}]`, `a number that ${dtype} holds`, describe(numbers[wrong]))
}

function dtypeOfArray(array: ArrayBufferView): Dtype | undefined {
  return dtypes.find((dtype) => dtype !== 'float16' && dtype !== 'bfloat16' && holds(array, dtype))
}

function holds<D extends Dtype>(array: ArrayBufferView, dtype: D): array is ArrayOf[D] {
  return array instanceof arrayConstructors[dtype]
}

function unsupported(data: unknown, dtype: Dtype | undefined): QkvError {
  return refusal(
    'DTYPE_UNSUPPORTED',
    'tensor',
    'data',
    dtype === undefined ? 'a typed array (of halves: a Uint16Array with dtype float16 or bfloat16)' : `what holds ${dtype}`,
    describe(data),
  )
}
