/** Reads the positional encodings of a model from its `config.json`. */
export { fromConfig, type LayerPositions, type ModelConfig } from './from-config.ts'
