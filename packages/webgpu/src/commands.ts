import { packParameters, type Kernel, type LazyKernel } from './kernel.ts'
import type { CompiledKernel, PipelineCache } from './pipeline-cache.ts'

export interface Job {
  /** A value for each of the kernel's parameters. */
  readonly parameters: Readonly<Record<string, number>>
  /** A binding for each of the kernel's buffers. */
  readonly buffers: Readonly<Record<string, GPUBufferBinding>>
  readonly groups: number
  /** Where the device has put how many groups there really are, as an indirect dispatch takes them. */
  readonly countedGroups?: GPUBuffer | undefined
  /** About how many multiply-adds all groups do together. */
  readonly work: number
}

export interface Dispatch {
  readonly kind: 'dispatch'
  readonly compiled: CompiledKernel
  readonly buffers: Readonly<Record<string, GPUBufferBinding>>
  readonly parameters: Readonly<Record<string, number>>
  readonly firstGroup: number
  readonly groups: number
  readonly countedGroups: GPUBuffer | undefined
  readonly work: number
}

export interface Copy {
  readonly kind: 'copy'
  readonly source: GPUBuffer
  readonly sourceOffset: number
  readonly target: GPUBuffer
  readonly targetOffset: number
  readonly byteLength: number
}

export interface Clear {
  readonly kind: 'clear'
  readonly target: GPUBuffer
}

export type Command = Dispatch | Copy | Clear

/** How much one dispatch, and one submission, may do before a device's watchdog or a page's frame rate suffers. */
export interface WorkLimits {
  /** In multiply-adds. */
  readonly work: number
  readonly groups: number
}

/** Operations say what to run through a recorder; they never touch the queue. */
export class Recorder {
  readonly commands: Command[] = []
  readonly #pipelines: PipelineCache
  readonly #limits: WorkLimits
  readonly #acquire: (byteLength: number) => GPUBuffer
  readonly #write: (buffer: GPUBuffer, bytes: Uint8Array) => void

  constructor(
    pipelines: PipelineCache,
    limits: WorkLimits,
    acquire: (byteLength: number) => GPUBuffer,
    write: (buffer: GPUBuffer, bytes: Uint8Array) => void,
  ) {
    this.#pipelines = pipelines
    this.#limits = limits
    this.#acquire = acquire
    this.#write = write
  }

  /** Memory for the time of the recorded work; its contents are anything. */
  scratch(byteLength: number): GPUBuffer {
    return this.#acquire(byteLength)
  }

  /** A copy of `bytes` for the time of the recorded work. */
  upload(bytes: Uint8Array): GPUBuffer {
    const buffer = this.#acquire(Math.max(16, bytes.byteLength))
    this.#write(buffer, bytes)
    return buffer
  }

  copy(source: GPUBuffer, sourceOffset: number, target: GPUBuffer, targetOffset: number, byteLength: number): void {
    this.commands.push({ kind: 'copy', source, sourceOffset, target, targetOffset, byteLength })
  }

  clear(target: GPUBuffer): void {
    this.commands.push({ kind: 'clear', target })
  }

  /** Records a kernel, in as many ranges of groups as the limits ask for; in several ranges, all groups whatever was counted. */
  dispatch<Spec>(
    kernel: Kernel<Spec> | LazyKernel<Spec>,
    spec: Spec,
    { parameters, buffers, groups, countedGroups, work }: Job,
  ): void {
    if (groups === 0) return
    const compiled = this.#pipelines.get(kernel, spec)
    const slices = Math.min(groups, Math.max(Math.ceil(groups / this.#limits.groups), Math.ceil(work / this.#limits.work)))
    const groupsPerSlice = Math.ceil(groups / slices)
    for (let firstGroup = 0; firstGroup < groups; firstGroup += groupsPerSlice) {
      const count = Math.min(groupsPerSlice, groups - firstGroup)
      this.commands.push({
        kind: 'dispatch',
        compiled,
        buffers,
        parameters,
        firstGroup,
        groups: count,
        countedGroups: slices === 1 ? countedGroups : undefined,
        work: (work * count) / groups,
      })
    }
  }
}

export function isDispatch(command: Command): command is Dispatch {
  return command.kind === 'dispatch'
}

export function buffersOf(command: Command): { read: readonly GPUBuffer[]; written: readonly GPUBuffer[] } {
  switch (command.kind) {
    case 'dispatch': {
      const { buffers, compiled, countedGroups } = command
      const all = Object.entries(buffers).map(([name, { buffer }]) => ({ name, buffer }))
      return {
        read: [...all.map(({ buffer }) => buffer), ...(countedGroups ? [countedGroups] : [])],
        written: all.filter(({ name }) => compiled.writes.includes(name)).map(({ buffer }) => buffer),
      }
    }
    case 'copy':
      return { read: [command.source], written: [command.target] }
    case 'clear':
      return { read: [], written: [command.target] }
  }
}

const uniformAlignment = 256

/** The parameters of all dispatches, one aligned block each, in order. */
export function packUniforms(commands: readonly Command[]): Uint8Array {
  const blocks = commands
    .filter(isDispatch)
    .map(({ compiled, parameters, firstGroup }) => packParameters(compiled.now().kernel, parameters, firstGroup))
  const bytes = new Uint8Array(blocks.reduce((sum, block) => sum + aligned(block.byteLength), 0))
  let offset = 0
  for (const block of blocks) {
    bytes.set(block, offset)
    offset += aligned(block.byteLength)
  }
  return bytes
}

/** Encodes `commands`, whose parameters lie in `uniforms` as {@link packUniforms} put them. */
export function encodeCommands(
  device: GPUDevice,
  encoder: GPUCommandEncoder,
  commands: readonly Command[],
  uniforms: GPUBuffer | undefined,
): void {
  let pass: GPUComputePassEncoder | undefined
  let offset = 0
  for (const command of commands) {
    if (command.kind === 'dispatch' && uniforms !== undefined) {
      pass ??= encoder.beginComputePass()
      const { kernel, layout, pipeline } = command.compiled.now()
      const size = 4 * (Object.keys(kernel.parameters).length + 1)
      const bound = Object.keys(kernel.buffers).map((name) => bindingOf(command, name))
      const entries = [{ buffer: uniforms, offset, size: Math.ceil(size / 16) * 16 }, ...bound].map((resource, binding) => ({
        binding,
        resource,
      }))
      pass.setPipeline(pipeline)
      pass.setBindGroup(0, device.createBindGroup({ layout, entries }))
      if (command.countedGroups) pass.dispatchWorkgroupsIndirect(command.countedGroups, 0)
      else pass.dispatchWorkgroups(command.groups)
      offset += aligned(size)
      continue
    }
    pass?.end()
    pass = undefined
    if (command.kind === 'copy') {
      encoder.copyBufferToBuffer(command.source, command.sourceOffset, command.target, command.targetOffset, command.byteLength)
    } else if (command.kind === 'clear') {
      encoder.clearBuffer(command.target)
    }
  }
  pass?.end()
}

function bindingOf({ buffers }: Dispatch, name: string): GPUBufferBinding {
  const binding = buffers[name]
  if (binding === undefined) throw new Error(`buffer ${name} is not bound`)
  return binding
}

function aligned(byteLength: number): number {
  return Math.ceil(byteLength / uniformAlignment) * uniformAlignment
}
