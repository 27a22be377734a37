/**
 * Ends the programs of a relay that is gone: a small process beside it that knows their groups, and reads from a pipe of which only the
 * relay has the other end.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { reasonOf } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';

// Read line by line; the pipe ends when the relay does, however it does. Who does not go when asked is ended a second later.
const SCRIPT = `
trap '' HUP INT QUIT TERM
groups=' '
while read -r verb id; do
  case "$verb" in
    add) groups="$groups$id " ;;
    drop) groups="\${groups%% "$id" *} \${groups#* "$id" }" ;;
  esac
done
set -- $groups
[ $# -gt 0 ] || exit 0
for id; do kill -TERM "-$id"; done
sleep 1
for id; do kill -KILL "-$id"; done
`;

export class OrphanWatch {
  readonly #groups = new Set<number>();
  #watcher: ChildProcess | undefined;

  constructor(private readonly log: Pick<Log, 'warn'>) {}

  /** From now on the group of this process ends with us. */
  add(group: number): void {
    if (process.platform === 'win32') return;
    this.#groups.add(group);
    if (this.#watcher) this.#tell('add', group);
    else this.#start();
  }

  /** The group has ended. */
  drop(group: number): void {
    if (this.#groups.delete(group)) this.#tell('drop', group);
  }

  /** Ends the watch; resolves when its process has ended. */
  async stop(): Promise<void> {
    const watcher = this.#watcher;
    if (!watcher) return;
    const ended = once(watcher, 'exit');
    this.#watcher = undefined;
    watcher.ref();
    watcher.stdin?.end();
    await ended;
  }

  #start(): void {
    const watcher = spawn('/bin/sh', ['-c', SCRIPT], {
      cwd: '/',
      env: { PATH: '/usr/bin:/bin' },
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#watcher = watcher;
    const onLoss = (reason: string): void => {
      if (this.#watcher !== watcher) return;
      this.#watcher = undefined;
      this.log.warn(
        `the watch over the programs ended (${reason}): if the relay is killed now, they stay behind; the next start of one begins it anew`,
      );
    };
    watcher.once('error', (error) => {
      onLoss(reasonOf(error));
    });
    watcher.once('exit', (code, signal) => {
      onLoss(signal ?? `code ${code ?? 0}`);
    });
    watcher.stdin.on('error', () => undefined);
    watcher.unref();
    for (const group of this.#groups) this.#tell('add', group);
  }

  #tell(verb: 'add' | 'drop', group: number): void {
    this.#watcher?.stdin?.write(`${verb} ${group}\n`);
  }
}
