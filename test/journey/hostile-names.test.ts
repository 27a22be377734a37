/** Names, members, nicks and texts that try to break out of a page, a log line or a terminal are shown as plain text everywhere. */
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { RemoteFault } from '../../src/client/client.ts';
import type { Sendable } from '../../src/values/values.ts';
import { request } from '../http/raw.ts';
import { startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';

// Quotes, markup, a fake log line, line and paragraph separators, and marks that change the reading direction.
const FORGED = '2026-01-01T00:00:00.000 INFO relay forged';
const HOSTILE = `"'\`<script>alert(1)</script>]]>&amp;\u202e\u2066\u200f\u2028\u2029\r\n${FORGED}\n\u0085\u009b31m`;
// XML cannot contain ESC; a plugin's source can.
const ESC = '\u001b[31m\u0007';
const UNSAFE = /[^\P{Cc}\t\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

const PLUGIN = `
import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
const TEXT = ${JSON.stringify(HOSTILE + ESC)};
@Satellite()
export class Bad extends Plugin {
  /** Help with <script>alert(1)</script>, "quotes", \u202e marks and ${ESC}. */
  @Exposed({ params: ['string'], returns: 'string' })
  say(text: string): string { return text; }
  @Exposed({ params: [], returns: 'any' })
  fault() { throw new Fault(42, TEXT); }
  @Exposed({ params: [], returns: 'any' })
  fail() { throw new Error(TEXT); }
  @Exposed({ params: [], returns: 'any' })
  unwritable() { return { [TEXT]: [Symbol(TEXT)] }; }
  @Exposed({ params: [], returns: 'boolean' })
  write() { this.log(TEXT); this.debug('of %s', { [TEXT]: TEXT }, [TEXT]); return true; }
  receive(): void { throw new Error(TEXT); }
}
`;

async function start(t: ExecutionContext): Promise<RelayProcess> {
  return startCo2(t, { files: { 'plugins/bad/names.ts': PLUGIN }, args: ['--log-level', 'debug'] });
}

/** The text of the fault that a call fails with. */
async function faultOf(t: ExecutionContext, relay: RelayProcess, method: string, ...params: Sendable[]): Promise<string> {
  const error = await t.throwsAsync(relay.call(method, ...params), { instanceOf: RemoteFault }, method);
  return error.message;
}

const CALLS: readonly (readonly [method: string, ...params: Sendable[]])[] = [
  ['system.methodHelp', HOSTILE],
  ['system.methodSignature', HOSTILE],
  ['method_call', { method_name: HOSTILE }],
  ['notify', { data: 1, host_id: HOSTILE }],
  ['notify', { data: 1, host_id: `${HOSTILE}@127.0.0.1:1` }],
  ['notify', HOSTILE],
  ['relay.register', { port: HOSTILE, nick: 'a' }],
  ['relay.register', { port: 9, [HOSTILE]: 1, nick: 5 }],
  ['relay.unregister', { token: HOSTILE }],
  ['bad.names.say', { [HOSTILE]: 1 }],
  ['bad.names.fail'],
  ['bad.names.unwritable'],
];

/** Makes all calls; asserts that each fault is one line of harmless text, except for what a plugin wrote itself. */
async function callAll(t: ExecutionContext, relay: RelayProcess): Promise<void> {
  for (const [method, ...params] of CALLS) {
    const text = await faultOf(t, relay, method, ...params);
    t.notRegex(text, UNSAFE, method);
    t.false(text.includes('\n') || text.length > 500, `${method}: ${text}`);
  }
  // Escaped on the wire; a replacement character marks what XML cannot carry.
  t.is(await faultOf(t, relay, 'bad.names.fault'), (HOSTILE + ESC).replace('\u001b', '\ufffd').replace('\u0007', '\ufffd'));
  t.is(await relay.call('bad.names.say', HOSTILE), HOSTILE);
  t.deepEqual(
    await relay.call('test', { [HOSTILE]: { [HOSTILE]: HOSTILE } }),
    await relay.call('test', { [HOSTILE]: { [HOSTILE]: HOSTILE } }),
  );
}

test('faults show hostile names as harmless text, and the log contains no forged line and no terminal control sequence', async (t) => {
  const relay = await start(t);
  await callAll(t, relay);
  await relay.call('bad.names.write');
  await relay.call('relay.register', { port: 9, nick: HOSTILE });
  await relay.call('notify', { data: HOSTILE, [HOSTILE]: HOSTILE, co2: { id: HOSTILE, by: HOSTILE, via: [HOSTILE] } });
  await request(relay.url, { path: `/${encodeURIComponent(HOSTILE)}`, headers: { Origin: 'http://"<script>\u0085\u009b31m' } });
  await request(relay.url, { headers: { 'Content-Type': '"<script>\u0085\u009b31m' } });
  await relay.stderr.line(/delivery of .* failed/);
  relay.kill('SIGTERM');
  const { stderr } = await relay.exit;
  t.true(stderr.filter((line) => line.includes('alert(1)')).length > 5, stderr.join('\n'));
  for (const line of stderr) {
    t.notRegex(line, UNSAFE);
    t.false(line.startsWith(FORGED), line);
    // Every line is a line of the logger or an indented continuation of one.
    t.regex(line, /^(?:\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d) [A-Z]+ [\w.-]+ | {4}\| )/);
  }
});

test('pages show hostile names as text in every format', async (t) => {
  const relay = await start(t);
  await relay.call('relay.register', { port: 9, nick: HOSTILE });
  for (const accept of ['text/plain', 'text/html', 'application/json', '*/*']) {
    const { status, headers, body } = await request(relay.url, { method: 'GET', path: '/RPC2', headers: { Accept: accept } });
    t.is(status, 200);
    const text = body.toString('utf8');
    t.true(text.includes('bad.names.say') && text.includes('alert(1)'), accept);
    t.notRegex(text, UNSAFE, accept);
    t.notRegex(text, new RegExp(`^${FORGED}`, 'm'), accept);
    if (headers['content-type']?.startsWith('text/html')) t.is(text.match(/<script/gi)?.length, 1, 'the script of the page itself');
  }
  const path = `/${encodeURIComponent(HOSTILE)}?${encodeURIComponent(HOSTILE)}`;
  const { status, body } = await request(relay.url, { method: 'GET', path });
  t.is(status, 404);
  t.notRegex(body.toString(), UNSAFE);
});
