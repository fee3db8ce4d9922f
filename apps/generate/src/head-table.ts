import type { HeadMeasure, HeadRole } from '@qkv/transformer'

/** Each head's mean share of gaze on the token before, and the heads that have a name, as lines of text. */
export function headTable(measures: readonly (readonly HeadMeasure[])[]): string {
  const width = measures[0]?.length ?? 0
  const heading = ['          ', ...Array.from({ length: width }, (_, head) => `head ${head}`.padStart(8))].join('')
  const rows = measures.map((heads, layer) =>
    [`layer ${layer}`.padEnd(10), ...heads.map(({ previousToken }) => previousToken.toFixed(2).padStart(8))].join(''),
  )
  return [
    'Mean share of attention on the token just before, over random tokens:',
    '',
    heading,
    ...rows,
    '',
    ...named(measures),
  ].join('\n')
}

function named(measures: readonly (readonly HeadMeasure[])[]): string[] {
  const lines = measures.flatMap((heads, layer) =>
    heads.flatMap((measure, head) =>
      measure.role === undefined
        ? []
        : [`layer ${layer} head ${head} is ${roleNames[measure.role]} (${measure[measure.role].toFixed(2)})`],
    ),
  )
  return lines.length > 0 ? lines : ['No head does mostly one thing.']
}

const roleNames: Readonly<Record<HeadRole, string>> = {
  previousToken: 'a previous-token head',
  firstToken: 'a first-token head',
  duplicateToken: 'a duplicate-token head',
  induction: 'an induction head',
}
