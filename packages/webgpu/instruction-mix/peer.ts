import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Family } from './compiler.ts'
import type { Work } from './figures.ts'

/** ONNX Runtime's attention for a head size and type, as its WebGPU provider hands it to `createShaderModule`. */
export interface PeerShader {
  readonly name: string
  readonly code: string
  work(family: Family): Work
}

/** Those found in a folder as `64-float32.wgsl`, … */
export function peerShaders(folder: string): PeerShader[] {
  return [64, 128].flatMap((headDim) =>
    ['float32', 'float16'].flatMap((dtype) => {
      const file = join(folder, `${headDim}-${dtype}.wgsl`)
      if (!existsSync(file)) return []
      return [
        { name: `peer-${headDim}-${dtype}`, code: readFileSync(file, 'utf8'), work: (family: Family) => peerWork(headDim, family) },
      ]
    }),
  )
}

/**
 * An invocation takes one row through tiles of 16 keys, which 64 invocations load, four elements at a time. On RDNA 3 the
 * compiler keeps the loops over chunks, and makes of each exchange between lanes a loop of its own over distinct sources,
 * of which there is one.
 */
function peerWork(headDim: number, family: Family): Work {
  const [load, chunks, exchanges] = [headDim / 16, headDim / 4, new Array<number>(16).fill(1)]
  return {
    trips: family === 'navi21' ? [load, load] : [load, load, chunks, ...exchanges, chunks, ...exchanges],
    multiplyAdds: 16 * 2 * headDim,
  }
}
