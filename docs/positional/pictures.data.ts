import { learnedPicture, sinusoidalPicture, timestepPicture } from './pictures/embeddings.ts'
import { layersPicture } from './pictures/layers.ts'
import { axialPicture, mixedPicture, multimodalPicture, rotaryPicture, scalingPicture, xposPicture } from './pictures/rotary.ts'
import {
  alibiPicture,
  copePicture,
  decomposedGridPicture,
  disentangledPicture,
  firePicture,
  gridPicture,
  kerplePicture,
  relativeKeyPicture,
  sandwichPicture,
  shawPicture,
  t5Picture,
  temperaturePicture,
  transformerXlPicture,
} from './pictures/scores.ts'

/** The pages' pictures as SVG, drawn by the library when the site is built. */
export interface Pictures {
  readonly [name: string]: string
}

declare const data: Pictures
export { data }

export default {
  load(): Pictures {
    return {
      alibi: alibiPicture(),
      axial: axialPicture(),
      cope: copePicture(),
      decomposedGrid: decomposedGridPicture(),
      disentangled: disentangledPicture(),
      fire: firePicture(),
      grid: gridPicture(),
      kerple: kerplePicture(),
      layers: layersPicture(),
      learned: learnedPicture(),
      mixed: mixedPicture(),
      multimodal: multimodalPicture(),
      relativeKey: relativeKeyPicture(),
      rotary: rotaryPicture(),
      sandwich: sandwichPicture(),
      scaling: scalingPicture(),
      shaw: shawPicture(),
      sinusoidal: sinusoidalPicture(),
      t5: t5Picture(),
      temperature: temperaturePicture(),
      timestep: timestepPicture(),
      transformerXl: transformerXlPicture(),
      xpos: xposPicture(),
    }
  },
}
