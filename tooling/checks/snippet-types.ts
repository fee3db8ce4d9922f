import { snippetsOf } from '@qkv/testing/markdown'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { repository } from './workspace.ts'

/** What TypeScript says of the ```ts blocks of Markdown files, each a module that stands beside its file. */
export function snippetTypeErrors(markdownFiles: readonly string[]): string[] {
  const modules = new Map<string, { readonly code: string; readonly place: string }>()
  for (const file of markdownFiles) {
    for (const [index, { code, line }] of snippetsOf(readFileSync(file, 'utf8')).entries()) {
      modules.set(`${file}.${index}.ts`, { code: `${code}\nexport {}\n`, place: `${file.slice(repository.length)}:${line}` })
    }
  }
  const program = ts.createProgram([...modules.keys()], compilerOptions(), hostWith(modules))
  return ts.getPreEmitDiagnostics(program).flatMap(({ file, messageText }) => {
    const place = file && modules.get(file.fileName)?.place
    return place === undefined ? [] : [`${place}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`]
  })
}

function compilerOptions(): ts.CompilerOptions {
  const { config } = ts.readConfigFile(join(repository, 'tsconfig.base.json'), (path) => ts.sys.readFile(path))
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, repository)
  return {
    ...options,
    noEmit: true,
    declaration: false,
    isolatedDeclarations: false,
    types: ['node'],
    allowImportingTsExtensions: true,
  }
}

function hostWith(modules: ReadonlyMap<string, { readonly code: string }>): ts.CompilerHost {
  const host = ts.createCompilerHost({})
  return {
    ...host,
    fileExists: (path) => modules.has(path) || host.fileExists(path),
    readFile: (path) => modules.get(path)?.code ?? host.readFile(path),
    getSourceFile: (path, options) => {
      const module = modules.get(path)
      return module ? ts.createSourceFile(path, module.code, options) : host.getSourceFile(path, options)
    },
  }
}
