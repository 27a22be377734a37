/** The benchmark of calls: codec, bounds, load. Takes half a minute with `isQuick`, otherwise about four minutes. */
import { growth, holds } from './bounds.ts';
import { codec } from './codec.ts';
import { NOTIFY, SMALL } from './documents.ts';
import { Peers } from './peers.ts';
import type { Report } from './table.ts';
import { calls, memory, pingsBesideLarge } from './wire.ts';

export interface RpcOptions {
  readonly isQuick: boolean;
  /** Called with what is being measured. */
  readonly say: (text: string) => void;
}

export async function rpc({ isQuick, say }: RpcOptions): Promise<Report> {
  const peers = new Peers();
  try {
    say('codec ...');
    const own = await codec(isQuick ? { rounds: 3, ms: 30 } : { rounds: 9, ms: 150 }, peers.directory, peers.skipped);
    say('bounds ...');
    const bounds = [...(await holds(isQuick ? 1 : 5)), ...growth(isQuick ? 1 : 5)];
    say('calls ...');
    const [relay, bare] = [await peers.relay(), await peers.bareFastify()];
    const servers = [relay, bare, ...(await peers.others())];
    const effort = isQuick ? { rounds: 3, ms: 300 } : { rounds: 7, ms: 1200 };
    const wire = [...(await calls(SMALL, servers, effort)), ...(await calls(NOTIFY, servers, effort)), ...memory(servers)];
    say('large bodies ...');
    const beside = await pingsBesideLarge(relay, isQuick ? 1 : 5);
    return { figures: [...wire, ...own, ...bounds, ...beside], skipped: peers.skipped };
  } finally {
    await peers.stop();
  }
}
