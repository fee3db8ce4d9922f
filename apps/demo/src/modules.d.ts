declare module '*.wasm' {
  /** The binary's bytes. */
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}

declare module '*.css'
