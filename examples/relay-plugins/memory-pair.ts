/** Runs two relays in one process that are linked by the transport in memory.ts: B receives what A is sent. Stops on Ctrl-C. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRelay } from 'co2-relay/relay';

const [portA = '2104', portB = '2105'] = process.argv.slice(2);
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const state = mkdtempSync(join(tmpdir(), 'co2-memory-'));

const start = (name: string, port: string, peer: { name: string; port: string }) =>
  createRelay({
    port: Number(port),
    peers: [{ url: `memory://${peer.name}`, address: `127.0.0.1:${peer.port}` }],
    relayPlugins: [{ use: file('memory.ts'), config: { name } }],
    pluginsDir: file('../relay-pair/plugins/'),
    plugins: { 'pair.ear': { name: name.toUpperCase() } },
    dataDir: join(state, name),
  });

const relays = await Promise.all([start('a', portA, { name: 'b', port: portB }), start('b', portB, { name: 'a', port: portA })]);
console.log(`A is ${relays[0].url}, B is ${relays[1].url}, and no connection is between them. Tell A something:`);
console.log(`  npx co2 notify data=hello --url ${relays[0].url}`);

process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());

async function stop(): Promise<void> {
  await Promise.all(relays.map((relay) => relay.stop()));
  rmSync(state, { recursive: true, force: true });
}
