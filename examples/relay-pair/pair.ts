/** Runs two relays in one process as peers of each other: `npm run example:pair -- 2104 2105`. Stops on Ctrl-C. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createRelay } from 'co2-relay/relay';

const [portA = '2104', portB = '2105'] = process.argv.slice(2);
const pluginsDir = fileURLToPath(new URL('plugins/', import.meta.url));
const state = mkdtempSync(join(tmpdir(), 'co2-pair-'));

const start = (name: string, port: string, peer: string) =>
  createRelay({
    port: Number(port),
    peers: [`http://127.0.0.1:${peer}`],
    pluginsDir,
    plugins: { 'pair.ear': { name } },
    dataDir: join(state, name),
  });

const relays = await Promise.all([start('A', portA, portB), start('B', portB, portA)]);
console.log(`A is ${relays[0].url}, B is ${relays[1].url}. Tell A something:`);
console.log(
  `  curl -H 'Content-Type: text/xml' -d '<methodCall><methodName>notify</methodName><params><param><value><struct>` +
    `<member><name>data</name><value>hello</value></member></struct></value></param></params></methodCall>' ${relays[0].url}/RPC2`,
);

process.once('SIGINT', () => void stop());
process.once('SIGTERM', () => void stop());

async function stop(): Promise<void> {
  await Promise.all(relays.map((relay) => relay.stop()));
  rmSync(state, { recursive: true, force: true });
}
