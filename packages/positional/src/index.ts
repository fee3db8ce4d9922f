export * from './encoding.ts'
