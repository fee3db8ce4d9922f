export { exportAttentionLayer, type ExportOptions } from './attention-layer.ts'
