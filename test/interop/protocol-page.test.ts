/** The programs in docs/protocol-for-programs.md, run exactly as they are printed there. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';
import { startRelay, temporaryDir } from '../support/relays.ts';
import type { TestRelay } from '../support/relays.ts';

const PAGE = readFileSync(join(PROJECT_DIR, 'docs', 'protocol-for-programs.md'), 'utf8');

function exampleWith(text: string): string | undefined {
  return [...PAGE.matchAll(/```\w*\n([^]*?)```/g)].map(([, code = '']) => code).find((code) => code.includes(text));
}

/** A relay with the example that contains this text. */
async function started(t: ExecutionContext, exec: string, text: string): Promise<TestRelay> {
  t.timeout(50_000);
  const source = exampleWith(text);
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
  const relay = await started(t, 'sh', 'a message came');
  await relay.emit({ data: 'hello' });
  t.like(await relay.log.line(/^a message came$/), { level: 'info', category: 'plugin.thermo' });
  await relay.stop();
  t.deepEqual(relay.log.matching(/SIGTERM|SIGKILL/), []);
});

test('the example that works, in a shell', async (t) => {
  const relay = await started(t, 'sh', 'thermo:sort');
  await relay.call('work.submit', { type: 'thermo:sort', payload: 'pear\napple\n', id: 'fruit' });
  t.like(await relay.call('work.status', { unit: 'fruit', waitMs: 20_000 }), { state: 'succeeded' });
  const { items } = (await relay.call('work.results', { unit: 'fruit' })) as { items: readonly Buffer[] };
  t.is(Buffer.concat(items).toString(), 'apple\npear\n');
});

test('plugin.execute and relay.push_items are on the wire as printed', async (t) => {
  const bodies = join(temporaryDir(t), 'bodies');
  const file = join(temporaryDir(t), 'program.mjs');
  const push = exampleWith('<methodName>relay.push_items<')?.trim() ?? '';
  // Answers the calls of the relay with text alone, keeps the printed one, and pushes as it is printed.
  writeFileSync(
    file,
    `import { createServer } from 'node:http';
    import { writeFileSync } from 'node:fs';
    const { CO2_RELAY_URL: url, CO2_PLUGIN_TOKEN: token } = process.env;
    const answer = (value) => '<?xml version="1.0"?><methodResponse><params><param>' + value + '</param></params></methodResponse>';
    const yes = answer('<value><boolean>1</boolean></value>');
    const described = answer('<value><struct><member><name>work</name><value><array><data><value><struct><member><name>type</name><value><string>thermo:report</string></value></member></struct></value></data></array></value></member></struct></value>');
    const nothing = answer('<value><struct></struct></value>');
    const server = createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        const isWork = body.includes('>plugin.execute<');
        if (isWork) writeFileSync(${JSON.stringify(bodies)}, body);
        response.setHeader('content-type', 'text/xml').end(body.includes('>plugin.describe<') ? described : body.includes('>plugin.get_version<') ? nothing : yes);
        if (body.includes('>plugin.stop<')) setTimeout(() => process.exit(), 20);
        if (!isWork) return;
        const [, stream] = /<name>stream<.name><value><string>(.*?)</.exec(body);
        const headers = { 'content-type': 'text/xml', authorization: 'Bearer ' + token };
        void fetch(url.replace(/\\/\\/.*@/, '//'), { method: 'POST', headers, body: ${JSON.stringify(push)}.replace('9f86d081884c7d659a2feaa0', stream) });
      });
    }).listen(0, '127.0.0.1', () => console.log('co2|1|http|127.0.0.1:' + server.address().port + '|/' + token));`,
  );
  const relay = await startRelay(t, { programs: [{ name: 'thermo', exec: process.execPath, args: [file] }] });
  await relay.call('work.submit', { type: 'thermo:report', payload: Buffer.from('monday'), id: 'u1' });
  t.like(await relay.call('work.status', { unit: 'u1', waitMs: 20_000 }), { state: 'succeeded', reason: '' });
  const { items } = (await relay.call('work.results', { unit: 'u1' })) as { items: readonly string[] };
  t.deepEqual(items, ['monday: 21 degrees']);
  const [, stream = ''] = /<name>stream<.name><value><string>(.*?)</.exec(readFileSync(bodies, 'utf8')) ?? [];
  t.is(readFileSync(bodies, 'utf8').replace(stream, '9f86d081884c7d659a2feaa0'), exampleWith('<methodName>plugin.execute<')?.trim() ?? '');
});
