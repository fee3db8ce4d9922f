import type { Answers, Question, Reply } from './protocol.ts'

/** A host from the runner's side. */
export interface Host {
  ask<Q extends Question>(question: Q, deadlineMilliseconds: number): Promise<Answers[Q['ask']]>
  /** Ends the host, whatever it is doing. */
  close(): void
}

/** How a particular kind of host is reached: a child process, a worker, or this very thread. */
export interface Channel {
  send(question: Question): void
  close(): void
}

/** The peer could not, and says why: not a failure. */
export class Refused extends Error {
  override readonly name = 'Refused'
}

/** The host failed, hung or died. */
export class HostFailed extends Error {
  override readonly name = 'HostFailed'
}

/** A host over a channel. After a failure it answers nothing more: close it and start another. */
export function connect(open: (onReply: (reply: Reply) => void, onDeath: (reason: string) => void) => Channel): Host {
  let waiting: { resolve: (reply: Reply) => void; reject: (error: Error) => void } | undefined
  let dead: string | undefined
  const channel = open(
    (reply) => waiting?.resolve(reply),
    (reason) => {
      dead ??= reason
      waiting?.reject(new HostFailed(reason))
    },
  )
  const close = (): void => {
    dead ??= 'closed'
    channel.close()
  }
  return {
    async ask<Q extends Question>(question: Q, deadlineMilliseconds: number) {
      if (dead !== undefined) throw new HostFailed(dead)
      const reply = await new Promise<Reply>((resolve, reject) => {
        const timer = setTimeout(() => {
          close()
          reject(new HostFailed(`no answer to '${question.ask}' in ${Math.round(deadlineMilliseconds / 1000)} s`))
        }, deadlineMilliseconds)
        const settle =
          <T>(then: (value: T) => void) =>
          (value: T): void => {
            clearTimeout(timer)
            waiting = undefined
            then(value)
          }
        waiting = { resolve: settle(resolve), reject: settle(reject) }
        channel.send(question)
      })
      if (reply.ok) return reply.value as Answers[Q['ask']]
      throw reply.unavailable ? new Refused(reply.message) : new HostFailed(reply.message)
    },
    close,
  }
}
