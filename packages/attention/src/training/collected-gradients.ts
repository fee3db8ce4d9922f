import { tensor, toFloat64, type Backend, type OwnedTensor, type Tensor } from '@qkv/core'
import { bringHome } from '../positions.ts'
import { temporaries, withTemporaries, type Temporaries } from '../temporaries.ts'
import type { WeightAndBias } from '../weights.ts'
import { linearGradient } from './linear-gradient.ts'
import { normGradient, type Norm } from './norm-gradient.ts'

/** Runs a backward pass. What it made on its way is given back at its end; what it collected, only should it fail. */
export async function collectGradients<T>(
  backend: Backend,
  pass: (collected: CollectedGradients, scope: Temporaries) => Promise<T>,
): Promise<T> {
  const results = temporaries()
  try {
    return await withTemporaries((scope) => pass(new CollectedGradients(backend, results, scope), scope))
  } catch (error) {
    results.dispose()
    throw error
  }
}

/** What the steps of a backward pass have given so far. */
export class CollectedGradients {
  readonly #weights: Record<string, OwnedTensor> = {}
  readonly #backend: Backend
  readonly #results: Temporaries
  readonly #scope: Temporaries

  constructor(backend: Backend, results: Temporaries, scope: Temporaries) {
    this.#backend = backend
    this.#results = results
    this.#scope = scope
  }

  /** By the names of the layer's weights. */
  get weights(): Readonly<Record<string, OwnedTensor>> {
    return this.#weights
  }

  /** Back through a projection of `from`, and to its weights. @returns what `from` receives. */
  throughLinear(name: string, from: Tensor, projection: WeightAndBias, dOutput: Tensor): OwnedTensor {
    const { dInput, dWeight, dBias } = linearGradient(this.#backend, from, projection, dOutput, this.#scope)
    this.weight(`${name}.weight`, dWeight)
    if (dBias) this.weight(`${name}.bias`, dBias)
    return this.#results.keep(dInput)
  }

  /** Back through a norm of `from`, and to its weights, on the host. @returns what `from` receives, in the shape of `dOutput`. */
  async throughNorm(name: string, from: Tensor, { weight, bias }: WeightAndBias, norm: Norm, dOutput: Tensor): Promise<Tensor> {
    const home = async (view: Tensor): Promise<Float64Array> => toFloat64(await bringHome(this.#backend, view))
    const { dInput, dWeight, dBias } = normGradient(await home(from), await home(weight), await home(dOutput), norm)
    const upload = (values: Float64Array, shape: readonly number[]): OwnedTensor =>
      this.#backend.upload(tensor(Float32Array.from(values), shape))
    this.weight(`${name}.weight`, upload(dWeight, weight.shape))
    if (bias) this.weight(`${name}.bias`, upload(dBias, weight.shape))
    return this.#scope.keep(upload(dInput, dOutput.shape))
  }

  weight(name: string, gradient: OwnedTensor): void {
    this.#weights[name] = this.keep(gradient)
  }

  /** What is no weight's any more: of the parts of a fused one. */
  take(name: string): OwnedTensor | undefined {
    const gradient = this.#weights[name]
    delete this.#weights[name]
    return gradient && this.#scope.keep(gradient)
  }

  keep(gradient: OwnedTensor): OwnedTensor {
    return this.#results.keep(gradient)
  }

  /** All that an input received, in place of its parts. */
  sum(parts: readonly OwnedTensor[]): OwnedTensor {
    return parts.reduce((total, part) => {
      const sum = this.keep(this.#backend.add(total, part))
      total.dispose()
      part.dispose()
      return sum
    })
  }
}
