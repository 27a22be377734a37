/** Several linked relays, each with the recorder, and a way to wait until nothing is in flight between them. */
import type { ExecutionContext } from 'ava';
import { freePorts, startRelay } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** Addresses for `count` relays on one host. */
export async function onOneAddress(count: number): Promise<ListenAddress[]> {
  return (await freePorts(count)).map((port) => ({ host: '127.0.0.1', port }));
}

/** An address on each of these hosts. */
export async function onAddresses(...hosts: string[]): Promise<ListenAddress[]> {
  return Promise.all(hosts.map(async (host) => ({ host, port: (await freePorts(1, host))[0]! })));
}

/** Starts a relay at each address, and waits until all links are up; `neighbours` returns the indexes of those that it is linked to. */
export async function startLinked(
  t: ExecutionContext,
  addresses: readonly ListenAddress[],
  neighbours: (index: number) => readonly number[],
): Promise<TestRelay[]> {
  const url = (index: number): string => `http://${addresses[index]!.host}:${addresses[index]!.port}`;
  const relays = await Promise.all(
    addresses.map((address, index) =>
      startRelay(t, { ...address, peers: neighbours(index).map(url), drainMs: 2000, retry: { minMs: 5, maxMs: 20 } }),
    ),
  );
  // Otherwise the first dicts take whichever path is there first.
  const up = { role: 'peer', state: { type: 'up' } } as const;
  await Promise.all(
    relays.flatMap((relay, index) => neighbours(index).map((other) => relay.seen.event('link.state', { ...up, name: url(other) }))),
  );
  await Promise.all(relays.map((relay, index) => relay.seen.event('mesh.link', { state: 'up' }, neighbours(index).length)));
  return relays;
}

/** The `data` of every dict that a relay's recorder received. */
export function heard(relay: TestRelay): unknown[] {
  return relay.received.all.map(({ dict }) => dict.data);
}

/** True for the `data` of a dict that {@link heardInTheEnd} sends: it may overtake the last dicts of a test that took another path. */
export function isMarker(data: unknown): boolean {
  return String(data).startsWith('the end, says ');
}

/**
 * Sends one last dict from each relay and waits until all others have it: links deliver in order, so whatever was in flight before has
 * arrived too. Then stops all relays, which drains the rest, and returns what each received besides.
 */
export async function heardInTheEnd(relays: readonly TestRelay[]): Promise<unknown[][]> {
  await Promise.all(relays.map((relay, index) => relay.emit({ data: `the end, says ${index}` })));
  for (const relay of relays) {
    for (let count = 1; heard(relay).filter(isMarker).length < relays.length - 1; count++) await relay.received.first(count);
  }
  await Promise.all(relays.map((relay) => relay.stop()));
  return relays.map((relay) => heard(relay).filter((data) => !isMarker(data)));
}
