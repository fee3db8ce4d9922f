import { caseGroups } from '../cases/index.ts'
import type { CaseReport } from './report.ts'

/** A report's cases under the titles of their groups; cases of groups that there are no more keep the group's name. */
export function grouped(
  cases: readonly CaseReport[],
): readonly { readonly title: string; readonly cases: readonly CaseReport[] }[] {
  const byName = new Map<string, CaseReport[]>()
  for (const result of cases) {
    const [name = ''] = result.bench.id.split('/')
    byName.set(name, [...(byName.get(name) ?? []), result])
  }
  return [...byName].map(([name, those]) => ({
    title: caseGroups.find((group) => group.name === name)?.title ?? name,
    cases: those,
  }))
}
