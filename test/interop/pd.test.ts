/** Pure Data's own programs `pdsend` and `pdreceive`, from Debian's puredata-utils, with the bundled plugin pd.bridge, over TCP and UDP. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Dict, Value } from '../../src/values/values.ts';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { freePorts } from '../support/relays.ts';
import { scriptedPeer } from '../support/scripted-peer.ts';

type Protocol = 'tcp' | 'udp';

interface Status {
  readonly listening: readonly { readonly port: number }[];
  readonly send_to: readonly { readonly connected: boolean }[];
  readonly refused: number;
}

/** A relay with the bridge, configured as an operator would. */
async function startBridge(t: ExecutionContext, config: Readonly<Record<string, unknown>>): Promise<RelayProcess> {
  const files = { 'config.ts': `export default { plugins: { 'pd.bridge': ${JSON.stringify(config)} } };` };
  return startCo2(t, { files, args: ['--plugins', join(PROJECT_DIR, 'plugins')] });
}

async function statusOf(relay: RelayProcess): Promise<Status> {
  return (await relay.call('pd.bridge.status')) as unknown as Status;
}

for (const protocol of ['tcp', 'udp'] satisfies Protocol[]) {
  test.serial(`pdsend over ${protocol}: its messages reach the network in order`, async (t) => {
    const relay = await startBridge(t, { listen: [{ port: 0, protocol }] });
    const other = await scriptedPeer(t);
    await relay.call('relay.register', { port: other.port });
    const { listening } = await statusOf(relay);
    const input = 'freq 440;\nvol 0.5 -3e-2; on;\none\\ atom \\; \\440 hé;\n';
    const { code, stderr } = await run(t, 'pdsend', [String(listening[0]!.port), '127.0.0.1', protocol], { input }).exit;
    t.is(code, 0, stderr.join('\n'));
    const heard: readonly Dict[] = await other.notified.first(4);
    t.deepEqual(
      heard.map(({ data }): Value => (data as Dict).pd!),
      [['freq', 440], ['vol', 0.5, -0.03], ['on'], ['one atom', ';', '440', 'hé']],
    );
    t.is((await statusOf(relay)).refused, 0);
  });

  test.serial(`pdreceive over ${protocol}: the network's messages reach it in order`, async (t) => {
    const [port = 0] = await freePorts(1);
    const pdreceive = run(t, 'pdreceive', [String(port), protocol]);
    const relay = await startBridge(t, { sendTo: [{ port, protocol }], retryMs: 20 });
    // It does not report when it listens. Over TCP the bridge knows when it is connected; over UDP only an arriving message shows it.
    for (let there = false; !there;) {
      await relay.call('pd.bridge.send_message', ['there']);
      there = protocol === 'udp' ? pdreceive.stdout.all.length > 0 : (await statusOf(relay)).send_to[0]!.connected;
    }
    for (let n = 0; n < 20; n++) await relay.call('notify', { data: { pd: ['freq', n, 0.5, 'a b;', '440'] } });
    await pdreceive.stdout.lines(/440;$/, 20);
    // Over TCP it starts a new line after every semicolon, even an escaped one.
    t.is(
      pdreceive.stdout.all.filter((line) => line !== 'there;').join(''),
      Array.from({ length: 20 }, (_, n) => `freq ${n} 0.5 a\\ b\\; \\440;`).join(''),
    );
  });
}
