import type { AttentionProblem, AttentionRequest, Backend, LayerOperations, Tensor } from '@qkv/core'
import type { WebGpuBackend } from '../backend.ts'
import { encodeCommands, packUniforms } from '../commands.ts'
import { uniformBuffer } from '../queue.ts'
import type { Session } from '../session.ts'
import { operand, scratchOperand } from '../workspace.ts'
import { attention, attentionInto, type DeviceKernels } from './attention.ts'
import { attentionShape } from './bind-problem.ts'
import { copyTensor } from './copy.ts'
import { activateElements, combineElements } from './elementwise.ts'
import { attentionGradient } from './gradient.ts'
import { gatherRows, multiplyByWeight, normaliseRows, rotateVectors } from './layers.ts'
import { mergePartials } from './merge.ts'
import { quantizeVectors } from './quantize.ts'
import { inSteps } from './steps.ts'

type AttentionOperations = Pick<Backend, 'attention' | 'attentionInSteps' | 'attentionGradient' | 'merge'>

export function attentionOperations(session: Session, kernels: DeviceKernels): AttentionOperations & Pick<WebGpuBackend, 'encode'> {
  return {
    attention: session.operation('attention', (space, problem: AttentionProblem, { lse = false }: AttentionRequest = {}) =>
      attention(space, kernels, problem, lse),
    ),

    async attentionInSteps(problem, request) {
      session.checkAlive()
      return inSteps(session, request, (space) => attention(space, kernels, problem, request.lse === true))
    },

    attentionGradient: session.operation('attentionGradient', attentionGradient),
    merge: session.operation('merge', mergePartials),

    encode(encoder, problem, { output, lse }) {
      session.checkAlive()
      const { device, queue } = session
      const { commands, release } = queue.stage((recorder) =>
        session.perform('encode', recorder, (space) => {
          const rows = attentionShape(problem).slice(0, 3)
          const lseOperand = lse ? operand(space, 'lse', lse) : scratchOperand(space, rows)
          attentionInto(space, kernels, problem, operand(space, 'output', output), lseOperand)
        }),
      )
      const uniforms = uniformBuffer(device, packUniforms(commands))
      encodeCommands(device, encoder, commands, uniforms)
      return {
        [Symbol.dispose](): void {
          uniforms.destroy()
          release()
        },
      }
    },
  }
}

export function layerOperations(session: Session): LayerOperations {
  const combine = (operation: 'add' | 'multiply'): LayerOperations['add'] =>
    session.operation(operation, (space, left, right) => combineElements(space, operation, left, right))
  return {
    linear: session.operation('linear', multiplyByWeight),
    rmsNorm: session.operation('rmsNorm', (space, input: Tensor, weight: Tensor, epsilon: number) =>
      normaliseRows(space, input, weight, undefined, epsilon, false),
    ),
    layerNorm: session.operation('layerNorm', (space, input: Tensor, weight: Tensor, bias: Tensor | undefined, epsilon: number) =>
      normaliseRows(space, input, weight, bias, epsilon, true),
    ),
    activate: session.operation('activate', activateElements),
    add: combine('add'),
    multiply: combine('multiply'),
    gather: session.operation('gather', gatherRows),
    copy: session.operation('copy', copyTensor),
    quantize: session.operation('quantize', quantizeVectors),
    rotate: session.operation('rotate', rotateVectors),
  }
}
