/** Two relays: A records the load of this machine, and B shows it. `npm run example:load -- 2004 2005`. Stops on Ctrl-C. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRelay } from 'co2-relay/relay';

const [portA = '2004', portB = '2005'] = process.argv.slice(2);
const state = mkdtempSync(join(tmpdir(), 'co2-load-'));

// A needs no plugins of its own.
const empty = join(state, 'plugins');
mkdirSync(empty);

const relays = await Promise.all([
  createRelay({
    port: Number(portA),
    peers: [`http://127.0.0.1:${portB}`],
    pluginsDir: empty,
    bundled: ['sense'],
    plugins: { 'sense.system': { intervalMs: 1_000 } },
    recordings: { 'sense.system:record': { start: true, dicts: true } },
    dataDir: join(state, 'A'),
  }),
  createRelay({
    port: Number(portB),
    peers: [`http://127.0.0.1:${portA}`],
    pluginsDir: fileURLToPath(new URL('plugins/', import.meta.url)),
    dataDir: join(state, 'B'),
  }),
]);
console.log(`A is ${relays[0].url}, B is ${relays[1].url}.`);

process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());

async function stop(): Promise<void> {
  await Promise.all(relays.map((relay) => relay.stop()));
  rmSync(state, { recursive: true, force: true });
}
