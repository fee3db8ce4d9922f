import { isFloat, isHostTensor, tensor, type Backend, type HostTensor, type OwnedTensor, type Tensor } from '@qkv/core'
import { copied } from './copied.ts'
import { Life } from './life.ts'
import { bringHome } from './positions.ts'
import { checkShape, invalid, refused } from './refuse.ts'
import { allOrNone, type Temporaries } from './temporaries.ts'
import { uniform } from './uniform.ts'

/** Shapes by the names of a module's weights; matrices are [outputs, inputs]. */
export type WeightShapes = Readonly<Record<string, readonly number[]>>

export interface WeightAndBias {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** A module's weights, on its backend. */
export class ModuleWeights {
  readonly #life: Life
  readonly #backend: Backend
  readonly #tensors: ReadonlyMap<string, OwnedTensor>
  /** Looked up by what the names of a weight and its bias begin with, many times a token. */
  readonly #pairs = new Map<string, WeightAndBias>()

  /** Copies `given`, or small random ones. @throws QkvError unless there is exactly what `shapes` names, all floats. */
  constructor(
    module: string,
    backend: Backend,
    shapes: WeightShapes,
    given: Readonly<Record<string, Tensor>> | undefined,
    seed: number = 0,
  ) {
    const weights = given ?? initialWeights(shapes, seed)
    checkWeights(module, weights, shapes)
    this.#life = new Life(module, 'module')
    this.#backend = backend
    this.#tensors = allOrNone((made) => new Map(Object.keys(shapes).map((name) => [name, brought(backend, weights[name]!, made)])))
  }

  /** `name.weight`, which the options must name, and `name.bias` where there is one. @throws QkvError `DISPOSED`. */
  pair(name: string): WeightAndBias {
    this.check()
    const known = this.#pairs.get(name)
    if (known !== undefined) return known
    const pair = { weight: this.find(`${name}.weight`)!, bias: this.find(`${name}.bias`) }
    this.#pairs.set(name, pair)
    return pair
  }

  /** Undefined where the options do not name it. */
  find(name: string): Tensor | undefined {
    this.check()
    return this.#tensors.get(name)
  }

  check(): void {
    this.#life.check()
  }

  /** All of them in host memory. */
  async read(): Promise<Record<string, HostTensor>> {
    this.check()
    const named: Record<string, HostTensor> = {}
    for (const [name, weight] of this.#tensors) named[name] = await bringHome(this.#backend, weight)
    return named
  }

  dispose(): void {
    if (this.#life.end()) this.#tensors.forEach((weight) => weight.dispose())
  }
}

function checkWeights(module: string, weights: Readonly<Record<string, Tensor>>, shapes: WeightShapes): void {
  const surplus = Object.keys(weights).find((name) => !(name in shapes))
  if (surplus !== undefined) {
    throw invalid(module, `weights['${surplus}']`, 'absent', 'a tensor')
  }
  for (const [name, shape] of Object.entries(shapes)) {
    const weight = weights[name]
    if (weight === undefined) throw invalid(module, `weights['${name}']`, `a tensor [${shape.join(',')}]`, 'nothing')
    checkShape(module, `weights['${name}']`, weight.shape, shape)
    if (!isFloat(weight.dtype)) throw refused('DTYPE_UNSUPPORTED', module, `weights['${name}']`, 'a float dtype', weight.dtype)
  }
}

/** A copy on the backend, wherever the weight was. */
function brought(backend: Backend, weight: Tensor, made: Temporaries): OwnedTensor {
  return isHostTensor(weight) ? made.keep(backend.upload(weight)) : copied(backend, weight, made)
}

/** Matrices uniform within ±√(6 / (inputs + outputs)) (Glorot and Bengio, 2010), norms one, biases and sinks zero. */
function initialWeights(shapes: WeightShapes, seed: number): Record<string, HostTensor> {
  const next = uniform(seed)
  return Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const [outputs = 1, inputs = 0] = shape
      const reach = Math.sqrt(6 / (inputs + outputs))
      const element = shape.length === 2 ? () => reach * (2 * next() - 1) : name.endsWith('Norm.weight') ? () => 1 : () => 0
      return [name, tensor(Float32Array.from({ length: outputs * Math.max(1, inputs) }, element), shape)]
    }),
  )
}
