import type { OwnedTensor, Tensor } from '@qkv/core'
import { checkShape } from '../refuse.ts'
import { temporaries, type Temporaries } from '../temporaries.ts'

/** An output that remembers how it came about; `dispose()` gives back both. */
export interface Differentiable<Gradients> extends Disposable {
  /** [batch, length, modelDim] */
  readonly output: OwnedTensor
  /** From the gradient of a loss with respect to the output, in the output's shape. May be called again. */
  backward(dOutput: Tensor): Promise<Gradients>
  dispose(): void
}

/** What the forward pass of a layer gives, and keeps for the backward pass. */
export interface Pass<Gradients> {
  readonly output: OwnedTensor
  backward(dOutput: Tensor): Promise<Gradients>
}

/** @param forward runs the forward pass; all that it makes, the output included, goes into its scope */
export async function differentiable<Gradients>(
  operation: string,
  forward: (scope: Temporaries) => Promise<Pass<Gradients>>,
): Promise<Differentiable<Gradients>> {
  const scope = temporaries()
  try {
    const { output, backward } = await forward(scope)
    return {
      output,
      async backward(dOutput) {
        checkShape(operation, 'dOutput', dOutput.shape, output.shape)
        return backward(dOutput)
      },
      dispose: scope.dispose,
      [Symbol.dispose]: scope.dispose,
    }
  } catch (error) {
    scope.dispose()
    throw error
  }
}
