/** What a kernel sees of the world: its parameters (one uniform struct) and its buffers, in the order of their bindings. */
export interface KernelInterface {
  readonly parameters: Readonly<Record<string, 'i32' | 'f32'>>
  readonly buffers: Readonly<Record<string, BufferDeclaration>>
}

export interface BufferDeclaration {
  /** The WGSL type of the buffer, e.g. `array<vec4f>`. */
  readonly type: string
  readonly access: 'read' | 'read_write'
}

/** A family of compute shaders: a pure function from a spec, plain data, to WGSL. */
export interface Kernel<Spec> {
  readonly name: string
  interface(spec: Spec): KernelInterface
  code(spec: Spec): string
}

/** A kernel that not every program needs: it is loaded when it is first compiled. */
export interface LazyKernel<Spec> {
  /** As the kernel's own. */
  readonly name: string
  /** The buffers that it writes: those of its interface with access `read_write`, in that order. */
  readonly writes: readonly string[]
  load(): Promise<Kernel<Spec>>
}

/** Of kernels whose invocations have nothing to do with one another. */
export const invocationsPerGroup = 64

/**
 * The WGSL declarations of an interface. Every kernel numbers its workgroups in one dimension and adds
 * `parameters.firstGroup`, so that a scheduler may run any range of them on its own.
 */
export function declarations({ parameters, buffers }: KernelInterface): string {
  const fields = ['firstGroup: i32', ...Object.entries(parameters).map(([name, type]) => `${name}: ${type}`)]
  const bindings = Object.entries(buffers).map(
    ([name, { type, access }], index) => `@group(0) @binding(${index + 1}) var<storage, ${access}> ${name}: ${type};`,
  )
  return `struct Parameters { ${fields.join(', ')} }
@group(0) @binding(0) var<uniform> parameters: Parameters;
${bindings.join('\n')}`
}

/** The bytes of the uniform struct that {@link declarations} declares. */
export function packParameters(
  { parameters }: KernelInterface,
  values: Readonly<Record<string, number>>,
  firstGroup: number,
): Uint8Array {
  const names = Object.keys(parameters)
  const view = new DataView(new ArrayBuffer(4 * (names.length + 1)))
  view.setInt32(0, firstGroup, true)
  names.forEach((name, index) => {
    const value = values[name]
    if (value === undefined) throw new Error(`kernel parameter ${name} has no value`)
    if (parameters[name] === 'f32') view.setFloat32(4 + 4 * index, value, true)
    else view.setInt32(4 + 4 * index, value, true)
  })
  return new Uint8Array(view.buffer)
}
