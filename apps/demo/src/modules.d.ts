declare module '*.wasm' {
  /** The binary's bytes. */
  const bytes: Uint8Array<ArrayBuffer>
  export default bytes
}

declare module '*.css'

declare module '*?raw' {
  /** The file's text. */
  const text: string
  export default text
}

/** What the page was built from, where that is known. */
declare const __COMMIT__: string | undefined
