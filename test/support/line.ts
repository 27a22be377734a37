/** Relays in a row, as processes: each has a link to the one before it and to the one after it, and no other way. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import type { Config } from '../../src/config/config.ts';
import { RelayError } from '../../src/core/core.ts';
import type { Sendable, Value } from '../../src/values/values.ts';
import { startCo2 } from './processes.ts';
import type { RelayProcess } from './processes.ts';
import { freePorts } from './relays.ts';

export type Struct = Readonly<Record<string, Value>>;
export const HOWS = ['SIGTERM', 'SIGKILL'] as const;
export type How = (typeof HOWS)[number];

/** A relay that ends and starts again where it was. */
export class Place {
  process: RelayProcess | undefined;
  readonly #client: XmlRpcClient;

  constructor(
    private readonly t: ExecutionContext,
    readonly cwd: string,
    readonly port: string,
  ) {
    // Calls may wait for a restart, and must not delay others meanwhile.
    this.#client = new XmlRpcClient(new URL(`http://127.0.0.1:${port}`), { timeoutMs: 45_000, maxConnections: 8 });
    t.teardown(() => this.#client.close());
  }

  async start(): Promise<void> {
    this.process = await startCo2(this.t, { cwd: this.cwd, args: ['--port', this.port] });
  }

  async end(how: How): Promise<void> {
    this.process?.kill(how);
    await this.process?.exit;
    this.process = undefined;
  }

  async call(method: string, ...params: Sendable[]): Promise<Struct> {
    if (!this.process) throw new RelayError('TRANSPORT', 'it is down');
    return (await this.#client.call(method, params)) as Struct;
  }
}

/** Starts the relays a, b and c in directories of these names; `configOf` adds to what each needs for its links. */
export async function startRow(
  t: ExecutionContext,
  directory: string,
  configOf: (nick: string) => Config,
): Promise<readonly [Place, Place, Place]> {
  const ports = await freePorts(3);
  const [a, b, c] = ['a', 'b', 'c'].map((nick, index) => {
    const cwd = join(directory, nick);
    mkdirSync(cwd, { recursive: true });
    const peers = [index - 1, index + 1].flatMap((peer) => (ports[peer] === undefined ? [] : [`http://127.0.0.1:${ports[peer]}`]));
    const config = { nick, peers, drainMs: 300, retry: { minMs: 5, maxMs: 100 }, ...configOf(nick) };
    writeFileSync(join(cwd, 'config.ts'), `export default ${JSON.stringify(config)};`);
    return new Place(t, cwd, String(ports[index]!));
  });
  const row = [a!, b!, c!] as const;
  await Promise.all(row.map((place) => place.start()));
  await reached(row[0], 'c');
  return row;
}

/** Resolves once this node has a way to another one. */
export async function reached(place: Place, other: string): Promise<void> {
  for (;;) {
    const nodes = (await place.call('relay.get_nodes')) as unknown as readonly Struct[];
    if (nodes.some(({ nick, state }) => nick === other && state === 'reachable')) return;
    await sleep(20);
  }
}
