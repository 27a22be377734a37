/**
 * `co2 check-plugin` names each kind of breach of the protocol for programs, and nothing else, of a program that is right in everything
 * besides.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { CheckOptions } from '../../src/check-plugin/check-plugin.ts';
import { FIXTURE, look } from './kit.ts';

type Breach = readonly [mode: string, verdict: 'failed' | 'note', check: RegExp, came: RegExp, over?: Partial<CheckOptions>];

// For what never comes: short, and still long enough for the steps before it on a busy machine.
const SHORT = { timeoutMs: 4_000 };
const CALLS = { callsMethods: true };

const BREACHES: readonly Breach[] = [
  ['hand-runs', 'failed', /^run by hand/, /^it still ran after 4000 ms$/, SHORT],
  ['hand-silent', 'failed', /^run by hand/, /^it said nothing, and ended with code 1$/],
  ['hand-code-0', 'failed', /^run by hand/, /ended with code 0/],
  ['hand-vague', 'note', /^run by hand/, /'cannot run'/],
  ['hand-line', 'failed', /^run by hand/, /wrote the line for a relay: co2\|1\|poll/],
  ['no-first-line', 'failed', /^its first line comes in time/, /^nothing in 4000 ms$/, SHORT],
  ['crashes', 'failed', /^its first line comes in time/, /^it ended with code 5; its last line was 'no such library'$/],
  ['garbage', 'failed', /^its first line says how/, /no handshake: 'Hello, I am\ufffd\[31m a program'/],
  ['other-machine', 'failed', /^its first line says how/, /listens at '192\.0\.2\.1:\d+'/],
  ['short-path', 'failed', /^its path is a secret/, /^the path is \/x$/],
  ['push-version-fault', 'failed', /^plugin\.push_version/, /^fault 1: I want no version$/],
  ['version-text', 'note', /^plugin\.get_version/, /'newest'/],
  ['version-list', 'failed', /^plugin\.get_version/, /no struct/],
  ['needs-newer', 'failed', /^plugin\.get_version/, /version 1\.0\.0 requires a relay >=99, and this one is 0\.9\.0/],
  ['describes-nothing', 'failed', /^plugin\.describe/, /no struct/],
  ['foreign-method', 'failed', /^plugin\.describe/, /relay\.get_status does not begin with 'ham\.'/],
  ['unknown-type', 'failed', /^the types of its signatures/, /^ham\.add has 'number'$/],
  ['unknown-capability', 'note', /^its capabilities/, /'fly'/],
  ['not-exposed', 'note', /^its capabilities/, /does not say exposed/],
  ['helpless', 'note', /^its capabilities/, /ham\.add has no help/],
  ['wants-config', 'failed', /^plugin\.setup/, /an empty configuration is refused by fault 7: a colour is needed/],
  ['setup-false', 'failed', /^plugin\.setup/, /answered false/],
  ['dies-in-setup', 'failed', /^plugin\.setup/, /^it ended with code 4/],
  ['any-path', 'failed', /^another path than its own/, /status 200/],
  ['path-403', 'note', /^another path than its own/, /status 403/],
  ['html', 'failed', /^its answers are HTTP/, /Content-Type: text\/html/],
  ['one-connection', 'note', /^calls that come at the same time/, /a connection that is kept keeps out the others/],
  ['dies-at-garbage', 'failed', /^broken requests/, /^it ended with code 6/],
  ['answers-anything', 'failed', /^a method that it does not have/, /as if it had done something/],
  ['other-fault', 'note', /^a method that it does not have/, /^fault 1: not supported$/],
  ['fault-500', 'failed', /^a method that it does not have/, /HTTP 500/],
  ['dies-at-nil', 'failed', /^it takes nil/, /^it ended with code 5/],
  ['dies-at-emoji', 'failed', /^it takes letters beyond 16 bits/, /^it ended with code 5/],
  ['hangs-at-large', 'failed', /^it takes a message of 300,000/, /notify was not answered in 4000 ms/, SHORT],
  ['wrong-result', 'failed', /^its methods answer/, /ham\.add answered a string, and its signature says int/, CALLS],
  ['not-there', 'failed', /^its methods answer/, /ham\.add is described, and answers that there is no such method/, CALLS],
  ['no-restore', 'failed', /^plugin\.handover/, /^fault 2: what is that\?$/],
  ['ignores-sigterm', 'failed', /^SIGTERM ends it/, /^it still ran 4000 ms later$/, SHORT],
  ['ignores-stop', 'failed', /^it ends after plugin\.stop/, /^it still ran 4000 ms later$/, SHORT],
  ['dies-at-stop', 'note', /^plugin\.stop is answered/, /^it ended with code 0/],
  ['leaves-child', 'failed', /^it leaves nothing behind/, /a process of its group was still there/],
  ['wrong-call', 'note', /^what it calls at the relay/, /relay\.relay got fault -32602: .*data/],
  ['two-lines', 'failed', /^what it writes besides/, /it wrote 'co2\|1\|http\|127\.0\.0\.1:\d+\|\/\S+' as well/],
  ['bad-version', 'failed', /^it chooses a version/, /version '2'/],
  ['poll-never', 'failed', /^plugin\.push_version/, /was not answered in 4000 ms/, SHORT],
  ['poll-dies-at-empty', 'failed', /^that there is no call/, /^it ended with code 7/],
  ['poll-silent', 'failed', /^a method that it does not have/, /was not answered in 4000 ms/, SHORT],
  ['poll-stays', 'note', /^without the relay/, /went on until SIGTERM/],
];

for (const [mode, verdict, check, came, over] of BREACHES) {
  test(`${mode} is told: ${check.source}`, async (t) => {
    const { wrong, counts } = await look(t, mode, over);
    const finding = wrong.find((one) => check.test(one.check));
    t.is(finding?.verdict, verdict, JSON.stringify(wrong));
    t.regex(finding?.came ?? '', came);
    t.truthy(finding?.advice);
    t.truthy(finding?.expected);
    // What cannot be seen once a process has ended, or cannot be ended, is told too; but of what works nothing.
    if (verdict === 'note') t.is(counts.failed, 0, JSON.stringify(wrong));
  });
}

test('a program with a fixed port does not run twice', async (t) => {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  free.close();
  await once(free, 'close');
  const record = { name: 'ham', exec: process.execPath, args: [FIXTURE, 'fixed-port'], env: { PORT: String(port) } };
  const { wrong } = await look(t, 'fixed-port', { record });
  t.regex(wrong.find(({ check }) => check === 'two of it run at the same time')?.came ?? '', /EADDRINUSE|code 1/);
});

if (process.platform === 'linux') {
  test('a program that listens on all addresses is told', async (t) => {
    const { wrong } = await look(t, 'all-addresses');
    t.is(wrong.length, 1, JSON.stringify(wrong));
    t.regex(wrong[0]?.came ?? '', /^0\.0\.0\.0:\d+$/);
  });
}
