/**
 * Stops the programs of a relay that was killed: a small shell process knows their process groups and reads from a pipe whose other end
 * only the relay holds.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { reasonOf } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';

// The pipe closes when the relay ends, for whatever reason. Groups that survive SIGTERM are killed a second later.
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

  /** Stops this process group when the relay ends. */
  add(group: number): void {
    if (process.platform === 'win32') return;
    this.#groups.add(group);
    if (this.#watcher) this.#send('add', group);
    else this.#start();
  }

  /** Removes a process group that has ended. */
  drop(group: number): void {
    if (this.#groups.delete(group)) this.#send('drop', group);
  }

  /** Stops the watch. Resolves when its process has exited. */
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
    for (const group of this.#groups) this.#send('add', group);
  }

  #send(verb: 'add' | 'drop', group: number): void {
    this.#watcher?.stdin?.write(`${verb} ${group}\n`);
  }
}
