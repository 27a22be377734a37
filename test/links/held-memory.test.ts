/**
 * What queues hold is bounded in memory, not only in bytes on the wire: a dict of empty base64 values takes ten times its size once it is
 * decoded.
 */
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { XmlRpcClient } from '../../src/client/internal.ts';
import { startCo2 } from '../support/processes.ts';

// 4.5 MiB each, some 40 MiB decoded: twelve of them decoded are 480 MB.
const VALUES = 195_000;
const DICTS = 12;
const HEAP_LIMIT_MB = 160;
// An outbox of 64 MiB, one dict in flight, and what the relay itself takes.
const MAX_HELD_MB = 150;

const PROBE = `import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Exposed, Plugin, Satellite } from 'co2-relay';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

@Satellite()
export class Probe extends Plugin {
  RECEIVE
  @Exposed() heldMb(): number {
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return Math.round((heapUsed + external) / 1e6);
  }
}
`;

const notify = Buffer.from(
  '<?xml version="1.0"?><methodCall><methodName>notify</methodName><params><param><value><struct><member><name>data</name><value><array><data>' +
    `${'<value><base64/></value>'.repeat(VALUES)}</data></array></value></member></struct></value></param></params></methodCall>`,
);

/** A server that takes connections and never answers. */
async function silentServer(t: ExecutionContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => undefined).resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

for (const [who, { receive = '', isPeer = false, isSatellite = false }] of Object.entries({
  'a satellite that never answers': { isSatellite: true },
  'a peer that never answers': { isPeer: true },
  'a satellite of this relay whose receive never ends': { receive: 'receive(): Promise<void> { return new Promise(() => undefined); }' },
})) {
  test.serial(`${DICTS} dicts of ${VALUES} empty base64 values for ${who} fit into a heap of ${HEAP_LIMIT_MB} MB`, async (t) => {
    const port = await silentServer(t);
    const relay = await startCo2(t, {
      files: {
        'plugins/memory/probe.ts': PROBE.replace('RECEIVE', receive),
        'config.ts': `export default { drainMs: 0, peers: ${isPeer ? `['http://127.0.0.1:${port}']` : '[]'} };\n`,
      },
      env: { NODE_OPTIONS: `--max-old-space-size=${HEAP_LIMIT_MB}` },
    });
    if (isSatellite) await relay.call('relay.register', { port });
    const client = new XmlRpcClient(relay.url, { timeoutMs: 30_000 });
    t.teardown(() => client.close());
    for (let count = 0; count < DICTS; count++) t.like(await client.post(notify), { kind: 'value', value: true });
    const heldMb = (await relay.call('memory.probe.heldMb')) as number;
    t.true(heldMb < MAX_HELD_MB, `${heldMb} MB are held`);
  });
}
