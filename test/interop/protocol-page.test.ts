/** The programs in docs/protocol-for-programs.md, run exactly as they are printed there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const PAGE = readFileSync(join(PROJECT_DIR, 'docs', 'protocol-for-programs.md'), 'utf8');

/** A relay with the example that contains this text. */
async function started(t: ExecutionContext, exec: string, text: string): Promise<TestRelay> {
  t.timeout(50_000);
  const source = [...PAGE.matchAll(/```\w*\n([^]*?)```/g)].map(([, code = '']) => code).find((code) => code.includes(text));
  const file = join(temporaryDir(t), 'program');
  writeFileSync(file, source ?? '');
  return startRelay(t, { programs: [{ name: 'thermo', exec, args: [file] }] });
}

test('the example with a server, in Python', async (t) => {
  const relay = await started(t, 'python3', 'SimpleXMLRPCServer');
  t.is(await relay.call('thermo.add', 2, 3), 5);
  t.is(await relay.call('system.methodHelp', 'thermo.add'), 'Adds two numbers.');
  await relay.emit({ data: 'ping' });
  const [pong] = await relay.received.first(1);
  t.deepEqual({ ...(pong!.dict.data as object) }, { pong: relay.hostId });
  await relay.stop();
  t.is(relay.status().plugins.plugins.find(({ name }) => name === 'thermo')?.state.type, 'stopped');
});

test('the example without a server, in a shell', async (t) => {
  const relay = await started(t, 'sh', 'co2|1|poll');
  await relay.emit({ data: 'hello' });
  t.like(await relay.log.line(/^a message came$/), { level: 'info', category: 'plugin.thermo' });
  await relay.stop();
  t.deepEqual(relay.log.matching(/SIGTERM|SIGKILL/), []);
});
