/** What the commands do with nodes of the mesh: calls, pings, traces, and the methods of all of them. */
import { RelayError, clean } from '../core/core.ts';
import { dictOf } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import type { TargetFlags } from './target.ts';
import { structOf, structsOf, textOf, toJson, toTable } from './values.ts';

// A message crosses at most as many relays; also ends a loop of relays that lie.
const MAX_HOPS = 16;
// The longest time limit of a call between nodes.
const MAX_TIMEOUT_MS = 600_000;

/** Prints hops as they answer; resolves to the exit code. */
export async function traceroute(node: string, flags: TargetFlags): Promise<number> {
  return withRelay(flags, async (call) => {
    let next: Value = '';
    for (let number = 1; number <= MAX_HOPS; number++) {
      const step = structOf(await call('relay.traceroute', { node, ...(next !== '' && { hop: next }) }));
      const hop = structOf(step.hop);
      process.stdout.write(`${flags.json === true ? toJson(hop, 0) : hopText(number, hop)}\n`);
      next = step.next ?? '';
      if (next === '') return hop.reached === true && hop.reason === '' ? 0 : 1;
    }
    throw new RelayError('TRANSPORT', `${clean(node, 100)} was not reached over ${MAX_HOPS} nodes`);
  });
}

function hopText(number: number, { node, nick, address, ms, reached, reason }: Dict): string {
  const who = [nick, node, address].map(textOf).filter((text) => text !== '');
  const took = reached === true && typeof ms === 'number' ? `${ms.toFixed(1)} ms` : 'not reached';
  const why = textOf(reason);
  return `${String(number).padStart(2)}  ${who.join('  ')}  ${took}${why === '' ? '' : `: ${why}`}`;
}

/** The time limit of a call to a node, in ms. */
export function nodeTimeoutOf({ timeout }: TargetFlags): number {
  return Math.min(MAX_TIMEOUT_MS, Math.ceil(timeout * 1000));
}

/** The answer of `relay.ping` in one line. */
export function pongText(pong: Value): string {
  const { nick, rtt, version, running } = structOf(pong);
  const took = typeof rtt === 'number' ? rtt.toFixed(rtt < 10 ? 1 : 0) : '?';
  const units = running === 1 ? '1 unit of work runs' : `${textOf(running)} units of work run`;
  return `${textOf(nick)} answered in ${took} ms (co2-relay ${textOf(version)}, ${units})`;
}

/** The methods of all nodes whose names match, each with its nodes. */
export async function networkMethods(call: Call, matches: (name: string) => boolean): Promise<readonly Dict[]> {
  const value = await call('relay.get_network_methods');
  return structsOf(value).filter(({ method }) => matches(textOf(method)));
}

/** A line for each method, with the nicks of its nodes. */
export function networkText(methods: readonly Dict[]): string {
  const rows = methods.map(({ method, nodes }) => {
    const names = structsOf(nodes).map(({ nick, node }) => textOf(nick) || textOf(node));
    return dictOf([
      ['method', textOf(method)],
      ['nodes', names.join(', ')],
    ]);
  });
  return toTable(rows, ['method', 'nodes']);
}
