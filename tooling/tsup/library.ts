import { defineConfig, type Options } from 'tsup'

/** How every package is bundled: ES modules for any platform; `tsc` makes the declarations. */
export function libraryConfig(entry: string[], esbuildPlugins: Options['esbuildPlugins'] = []): ReturnType<typeof defineConfig> {
  const options: Options = {
    entry,
    format: 'esm',
    platform: 'neutral',
    target: 'es2023',
    dts: false,
    splitting: true,
    sourcemap: true,
    clean: true,
    silent: true,
    loader: { '.wasm': 'binary' },
    esbuildPlugins,
  }
  return defineConfig(options)
}
