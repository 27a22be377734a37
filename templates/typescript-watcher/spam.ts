/** ham.spam: describe here what it watches. */
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { Plugin, Satellite, Watcher, type WatcherReport } from 'co2-relay';

/** What a service configures: `watchers: { one: { type: 'ham.spam', cfg: { file: '/etc/nodes' } } }`. */
interface Config {
  /** Each line is a node that is up: its name, host and port. */
  readonly file?: string;
  readonly intervalMs?: number;
}

@Satellite()
export class Spam extends Plugin {
  /** Reports the nodes in the lines of a file. It starts nothing yet; an error thrown here refuses the configuration. */
  @Watcher()
  async lines({ file = '', intervalMs = 1_000 }: Config) {
    await nodesIn(file);
    return {
      async *watch(signal: AbortSignal): AsyncGenerator<WatcherReport> {
        while (!signal.aborted) {
          // A list is all nodes. The relay finds out what has changed, and an error starts the watcher again after a while.
          yield await nodesIn(file);
          await sleep(intervalMs, undefined, { signal }).catch(() => undefined);
        }
      },
    };
  }
}

async function nodesIn(file: string): Promise<WatcherReport> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  return lines.map((line) => {
    const [name = '', host = '', port = ''] = line.trim().split(/\s+/);
    return { name, status: 'up', host, port: Number(port) };
  });
}
