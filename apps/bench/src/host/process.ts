import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { connect, type Host } from './connection.ts'
import type { Reply } from './protocol.ts'

/** A host as a Node process of its own. */
export function startProcess(entry: URL = new URL('./host-process.js', import.meta.url)): Host {
  return connect((onReply, onDeath) => {
    const child = fork(fileURLToPath(entry), { serialization: 'advanced', stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    let complaint = ''
    child.stderr?.on('data', (text) => (complaint = `${complaint}${text}`.slice(-4000)))
    child.on('message', (reply) => onReply(reply as Reply))
    child.on('error', (error) => onDeath(error.message))
    child.on('exit', (code, signal) => onDeath(`its process ended (${signal ?? code})${complained(complaint)}`))
    return { send: (question) => child.send(question), close: () => child.kill('SIGKILL') }
  })
}

/** The line that names an error, or else the last. */
function complained(text: string): string {
  const lines = text.trim().split('\n')
  const line = lines.findLast((candidate) => /error/i.test(candidate)) ?? lines.at(-1) ?? ''
  return line === '' ? '' : `: ${line.trim().slice(0, 160)}`
}
