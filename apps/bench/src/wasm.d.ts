declare module '*.wasm' {
  /** The binary's bytes. */
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}

declare module '*.wasm?url' {
  /** Where the page finds the binary. */
  const url: string
  export default url
}
