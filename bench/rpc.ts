/** The benchmark of calls: codec, bounds, load. Takes about a minute with `isQuick`, otherwise about five. */
import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { growth, holds } from './bounds.ts';
import { codec } from './codec.ts';
import { NOTIFY, SMALL } from './documents.ts';
import { Peers } from './peers.ts';
import type { Figure, Report } from './table.ts';
import { calls, memory, pingsBesideLarge } from './wire.ts';
import { isInstalled, ownLoad, wrkLoad } from './wrk.ts';

export interface RpcOptions {
  readonly isQuick: boolean;
  /** Called with what is being measured. */
  readonly say: (text: string) => void;
}

export async function rpc({ isQuick, say }: RpcOptions): Promise<Report> {
  // A processor for the servers and another one for the load, so that neither disturbs the other.
  const isPinned = isInstalled('taskset') && availableParallelism() > 1;
  const pinTo = (processor: number): string[] => (isPinned ? ['taskset', '-c', String(processor)] : []);
  const peers = new Peers(pinTo(0));
  try {
    say('codec ...');
    const own = await codec(
      isQuick ? { rounds: 3, ms: 20, warmUpMs: 200 } : { rounds: 9, ms: 150, warmUpMs: 400 },
      peers.directory,
      peers.skipped,
    );
    say('bounds ...');
    const bounds = [...(await holds(isQuick ? 1 : 5)), ...growth(isQuick ? 1 : 5)];
    say('calls ...');
    const [relay, bare] = [await peers.relay(), await peers.bareFastify()];
    const servers = [relay, bare, ...(await peers.others())];
    const effort = isQuick ? { rounds: 2, ms: 1000, warmUpMs: 2000 } : { rounds: 7, ms: 2000, warmUpMs: 4000 };
    const load = isInstalled('wrk') ? wrkLoad(peers.directory, pinTo(1)) : ownLoad;
    if (load === ownLoad) {
      peers.skipped.push('wrk: it is not installed, so this process makes the load, which costs as much as a server');
      if (isPinned) execFileSync('taskset', ['-a', '-c', '-p', '1', String(process.pid)], { stdio: 'ignore' });
    }
    const wire: Figure[] = [];
    for (const document of [SMALL, NOTIFY]) wire.push(...(await calls(document, servers, effort, load)));
    // Memory of the plain calls, before anything large.
    wire.push(...memory(servers));
    say('large bodies ...');
    const beside = await pingsBesideLarge(relay, isQuick ? 1 : 5);
    return { figures: [...wire, ...own, ...bounds, ...beside], skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}
