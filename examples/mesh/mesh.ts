/**
 * Runs a mesh of four relays in one process, and shows what it does when relays stop: `npm run example:mesh -- 2104 2105 2106 2107`.
 * Ctrl-C ends it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createRelay, type RunningRelay } from 'co2-relay/relay';

//          cellar
//        /        \
//   attic          shed
//        \        /
//          garden
const NEIGHBOURS = {
  attic: ['cellar', 'garden'],
  cellar: ['attic', 'shed'],
  garden: ['attic', 'shed'],
  shed: ['cellar', 'garden'],
} as const;
type Name = keyof typeof NEIGHBOURS;

const NAMES = Object.keys(NEIGHBOURS) as Name[];
const given = process.argv.slice(2).map(Number);
const portOf = (name: Name): number => given[NAMES.indexOf(name)] ?? 2104 + NAMES.indexOf(name);
const pluginsDir = fileURLToPath(new URL('plugins/', import.meta.url));
const state = mkdtempSync(join(tmpdir(), 'co2-mesh-'));
const relays = new Map<Name, RunningRelay>();
let isStopping = false;

/** A row of `relay.get_nodes`. */
interface Node {
  readonly nick: string;
  /** `self`, `reachable`, `unreachable` or `left`. */
  readonly state: string;
  /** The links to it; -1 if there is no way. */
  readonly links: number;
  readonly neighbours: readonly unknown[];
}

async function start(name: Name): Promise<void> {
  const relay = await createRelay({
    port: portOf(name),
    nick: name,
    peers: NEIGHBOURS[name].map((neighbour) => `http://127.0.0.1:${portOf(neighbour)}`),
    pluginsDir,
    plugins: { 'mesh.voice': { name } },
    dataDir: join(state, name),
    // A relay that starts before its peers says that they are down.
    log: { level: 'error' },
  });
  relays.set(name, relay);
}

async function stop(name: Name): Promise<void> {
  await relays.get(name)?.stop();
  relays.delete(name);
}

const call = (name: Name, method: string, ...params: string[]): Promise<unknown> =>
  relays.get(name)?.call(method, params) ?? Promise.reject(new Error(`${name} does not run`));

const nodes = async (): Promise<readonly Node[]> => (await call('attic', 'relay.get_nodes')) as Node[];

/** Waits until attic sees the nodes like this. */
async function until(is: (nodes: readonly Node[]) => boolean): Promise<void> {
  while (!is(await nodes())) await sleep(50);
}

const reaches = (name: Name) => (all: readonly Node[]) => all.some(({ nick, state: is }) => nick === name && is === 'reachable');

/** A row of `relay.get_routes`: the first node of the way, and the number of links. */
interface Route {
  readonly nick: string;
  readonly hop_nick: string;
  readonly links: number;
}

/** Shows the ways from attic to the others, once they are like this. */
async function showRoutes(are: (routes: readonly Route[]) => boolean): Promise<void> {
  const find = async (): Promise<readonly Route[]> => (await call('attic', 'relay.get_routes')) as Route[];
  let routes = await find();
  while (!are(routes)) {
    await sleep(50);
    routes = await find();
  }
  for (const { nick, hop_nick: hop, links } of routes)
    console.log(`  from attic to ${nick}: ${links === 1 ? 'a link' : `${links} links, the first to ${hop}`}`);
}

async function show(): Promise<void> {
  await Promise.all(NAMES.map(start));
  for (const name of NAMES) console.log(`${name} is ${relays.get(name)?.url}, and lists ${NEIGHBOURS[name].join(' and ')}`);

  await until((all) => all.length === NAMES.length && all.every(({ neighbours }) => neighbours.length === 2));
  console.log('They have proved their keys, and know each other:');
  await showRoutes((routes) => NEIGHBOURS.attic.every((name) => routes.some(({ nick, links }) => nick === name && links === 1)));

  console.log('attic says hello to all:');
  await call('attic', 'mesh.voice.say', 'hello');
  await sleep(500);

  console.log('cellar stops, so there is one way left:');
  await stop('cellar');
  await until((all) => !reaches('cellar')(all) && reaches('shed')(all));
  await showRoutes((routes) => routes.some(({ nick, hop_nick: hop }) => nick === 'shed' && hop === 'garden'));
  await call('attic', 'mesh.voice.say', 'this goes by the garden');
  await sleep(500);

  console.log('shed stops, and attic tells it something that waits on disk:');
  await stop('shed');
  await until((all) => !reaches('shed')(all));
  await call('attic', 'mesh.voice.tell', 'shed', 'you were away');

  console.log('shed and cellar start again, and get what they missed:');
  await Promise.all([start('shed'), start('cellar')]);
  await until((all) => reaches('shed')(all) && reaches('cellar')(all));
  await sleep(1000);
  console.log('Tell the mesh something, or press Ctrl-C:');
  console.log(`  curl -H 'Content-Type: application/json' -d '["hello from curl"]' ${relays.get('attic')?.url}/api/mesh.voice.say`);
}

async function stopAll(): Promise<void> {
  isStopping = true;
  await Promise.all(NAMES.map(stop));
  rmSync(state, { recursive: true, force: true });
}

process.once('SIGINT', () => void stopAll());
process.once('SIGTERM', () => void stopAll());
await show().catch((error: unknown) => {
  if (!isStopping) throw error;
});
