import { describe, expect, test } from 'vitest'
import { boundaryViolations, type Manifest } from '../checks/boundaries.ts'
import { workspacePackages } from '../checks/workspace.ts'

test('every import in the repository points where the architecture allows', async () => {
  const packages = await workspacePackages()
  expect(packages.map(({ manifest }) => manifest.name)).toContain('@qkv/core')
  expect(packages.flatMap(({ files }) => files).length).toBeGreaterThan(200)
  expect(boundaryViolations(packages)).toEqual([])
})

describe('a planted violation is found', () => {
  const manifests: Manifest[] = [
    { name: '@qkv/core', exports: { '.': '', './reference': '' }, devDependencies: { '@qkv/testing': '', 'fast-check': '' } },
    { name: '@qkv/cpu', exports: { '.': '' }, dependencies: { '@qkv/core': '' }, devDependencies: { 'fast-check': '' } },
    { name: '@qkv/webgpu', exports: { '.': '' }, dependencies: { '@qkv/core': '', '@qkv/cpu': '' } },
    {
      name: '@qkv/attention',
      exports: { '.': '' },
      dependencies: { '@qkv/core': '' },
      peerDependencies: { '@qkv/cpu': '', '@qkv/webgpu': '' },
    },
  ]

  test.each([
    ['@qkv/core', 'src/index.ts', "import { x } from '@qkv/cpu'", 'it imports nothing'],
    ['@qkv/core', 'src/index.ts', "import type { x } from '@qkv/testing'", 'it imports nothing'],
    ['@qkv/core', 'src/index.ts', "import { readFile } from 'node:fs/promises'", 'it must run everywhere, not only in Node'],
    ['@qkv/webgpu', 'src/index.ts', "export * from '@qkv/cpu'", 'it imports only @qkv/core'],
    ['@qkv/attention', 'src/index.ts', "const cpu = await import('@qkv/cpu')", 'it imports only @qkv/core, @qkv/positional'],
    [
      '@qkv/cpu',
      'src/index.ts',
      "import { x } from '../../core/src/tensor.ts'",
      'a package uses what another exports, never a file of it',
    ],
    ['@qkv/cpu', 'src/index.ts', "import { x } from '@qkv/core/src/tensor.ts'", '@qkv/core does not export ./src/tensor.ts'],
    ['@qkv/cpu', 'src/index.ts', "import fc from 'fast-check'", 'its dependencies do not declare fast-check'],
    ['@qkv/cpu', 'test/index.test.ts', "import leftPad from 'left-pad'", 'its package.json does not declare left-pad'],
    [
      '@qkv/cpu',
      'src/Part.svelte',
      '<script lang="ts">import x from \'left-pad\'</script>',
      'its dependencies do not declare left-pad',
    ],
  ])('%s %s: %s', (name, path, text, complaint) => {
    const packages = manifests.map((manifest) => ({ manifest, files: manifest.name === name ? [{ path, text }] : [] }))
    expect(boundaryViolations(packages)).toEqual([expect.stringMatching(`^${name} ${path} imports .*: ${complaint}$`)])
  })

  test.each([
    ['@qkv/attention', 'src/auto.ts', "const cpu = await import('@qkv/cpu')"],
    ['@qkv/attention', 'src/index.ts', "import { reference } from '@qkv/core/reference'"],
    ['@qkv/core', 'test/index.test.ts', "import fc from 'fast-check'; import { x } from '../src/x.ts'"],
  ])('and what is allowed is not: %s %s: %s', (name, path, text) => {
    const packages = manifests.map((manifest) => ({ manifest, files: manifest.name === name ? [{ path, text }] : [] }))
    expect(boundaryViolations(packages)).toEqual([])
  })
})
