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

type Breach = readonly [mode: string, verdict: 'failed' | 'note', check: RegExp, found: RegExp, over?: Partial<CheckOptions>];

// For what never comes: short, and still long enough for the steps before it on a busy machine.
const SHORT = { timeoutMs: 4_000 };
const CALLS = { callsMethods: true };

const BREACHES: readonly Breach[] = [
  ['hand-runs', 'failed', /^started by hand/, /^it was still running after 4000 ms$/, SHORT],
  ['hand-silent', 'failed', /^started by hand/, /^it wrote nothing, and ended with code 1$/],
  ['hand-code-0', 'failed', /^started by hand/, /ended with code 0/],
  ['hand-vague', 'note', /^started by hand/, /'cannot run'/],
  ['hand-line', 'failed', /^started by hand/, /wrote the line for a relay: co2\|1\|poll/],
  ['no-first-line', 'failed', /^its first line comes in time/, /^no line within 4000 ms$/, SHORT],
  ['crashes', 'failed', /^its first line comes in time/, /^it ended with code 5; its last line was 'no such library'$/],
  ['garbage', 'failed', /^its first line is valid/, /no handshake: 'Hello, I am\ufffd\[31m a program'/],
  ['other-machine', 'failed', /^its first line is valid/, /listens at '192\.0\.2\.1:\d+'/],
  ['short-path', 'failed', /^its path is a secret/, /^the path is \/x$/],
  ['push-version-fault', 'failed', /^plugin\.push_version/, /^fault 1: I want no version$/],
  ['version-text', 'note', /^plugin\.get_version/, /'newest'/],
  ['version-list', 'failed', /^plugin\.get_version/, /not a struct/],
  ['needs-newer', 'failed', /^plugin\.get_version/, /version 1\.0\.0 requires a relay >=99, and this one is 0\.9\.0/],
  ['describes-nothing', 'failed', /^plugin\.describe/, /not a struct/],
  ['foreign-method', 'failed', /^plugin\.describe/, /relay\.get_status does not begin with 'ham\.'/],
  ['unknown-type', 'failed', /^the types of its signatures/, /^ham\.add has 'number'$/],
  ['unknown-capability', 'note', /^its capabilities/, /'fly'/],
  ['not-exposed', 'note', /^its capabilities/, /not the capability exposed/],
  ['helpless', 'note', /^its capabilities/, /ham\.add has no help/],
  ['wants-config', 'failed', /^plugin\.setup/, /rejects an empty configuration with fault 7: a colour is needed/],
  ['setup-false', 'failed', /^plugin\.setup/, /answered false/],
  ['dies-in-setup', 'failed', /^plugin\.setup/, /^it ended with code 4/],
  ['any-path', 'failed', /^it rejects other paths/, /status 200/],
  ['path-403', 'note', /^it rejects other paths/, /status 403/],
  ['html', 'failed', /^its HTTP responses/, /Content-Type: text\/html/],
  ['one-connection', 'note', /^it answers simultaneous calls/, /an open connection blocks the others/],
  ['dies-at-garbage', 'failed', /^it survives malformed requests/, /^it ended with code 6/],
  ['answers-anything', 'failed', /^a method that it does not have/, /as if it had the method/],
  ['other-fault', 'note', /^a method that it does not have/, /^fault 1: not supported$/],
  ['fault-500', 'failed', /^a method that it does not have/, /HTTP 500/],
  ['dies-at-nil', 'failed', /^it accepts nil/, /^it ended with code 5/],
  ['dies-at-emoji', 'failed', /^it accepts characters beyond 16 bits/, /^it ended with code 5/],
  ['hangs-at-large', 'failed', /^it accepts a message of 300,000/, /notify was not answered in 4000 ms/, SHORT],
  ['wrong-result', 'failed', /^its methods answer/, /ham\.add answered a string, but its signature says int/, CALLS],
  ['not-there', 'failed', /^its methods answer/, /ham\.add is described, but answers that there is no such method/, CALLS],
  ['work-no-answer', 'failed', /^plugin\.execute is answered/, /plugin\.execute was not answered in 4000 ms/, { ...CALLS, ...SHORT }],
  ['work-never-ends', 'failed', /^its work pushes its end/, /^ham:echo: no end within 4000 ms$/, { ...CALLS, ...SHORT }],
  ['work-empty-error', 'failed', /^its work pushes its end/, /^ham:echo: an error without a text$/, CALLS],
  ['work-number', 'failed', /^its pushes wait/, /^ham:echo: it pushed an int$/, CALLS],
  ['work-no-waiting', 'failed', /^its pushes wait/, /it pushed again before the push before that was answered$/, CALLS],
  ['work-after-end', 'failed', /^its pushes wait/, /it pushed again after the push that ended its work$/, CALLS],
  ['work-stray', 'failed', /^its pushes wait/, /^it pushed to the stream 'another', which is none of its own$/, CALLS],
  ['work-deaf', 'failed', /^it pushes no more/, /^ham:echo: \d more push/, CALLS],
  ['work-deaf', 'failed', /^plugin\.cancel ends/, /^ham:echo: \d more push/, CALLS],
  ['work-no-cancel', 'note', /^plugin\.cancel ends/, /^it has no method plugin\.cancel$/, CALLS],
  ['work-any-type', 'failed', /^work that it does not offer/, /^it ran it as if nothing were wrong$/, CALLS],
  ['work-any-param', 'note', /^a parameter that its work/, /^it ran it as if nothing were wrong$/, CALLS],
  ['accepts-false', 'failed', /^its watchers and reactors accept/, /^ham:one answered false$/],
  ['refuses-cfg', 'note', /^its watchers and reactors accept/, /^ham:one refused it: fault 4: cfg\.file is missing$/],
  ['refuses-cfg', 'failed', /^its watchers and reactors accept/, /cfg\.file is missing/, { cfg: { file: 7 } }],
  ['wrong-report', 'failed', /^its watchers report/, /the status of web1 is 'sick', expected up or down/],
  ['ends-at-once', 'failed', /^its watchers report/, /the stream ended without a report/],
  ['faults-event', 'failed', /^its reactors process/, /^ham:one: fault 5: I am full$/, CALLS],
  ['no-restore', 'failed', /^plugin\.handover/, /^fault 2: what is that\?$/],
  ['ignores-sigterm', 'failed', /^SIGTERM ends it/, /^it was still running 4000 ms later$/, SHORT],
  ['ignores-stop', 'failed', /^it ends after plugin\.stop/, /^it was still running 4000 ms later$/, SHORT],
  ['dies-at-stop', 'note', /^plugin\.stop is answered/, /^it ended with code 0/],
  ['leaves-child', 'failed', /^it leaves nothing behind/, /a process of its group was still running/],
  ['wrong-call', 'note', /^its calls of the relay/, /relay\.relay got fault -32602: .*data/],
  ['two-lines', 'failed', /^its other output/, /it also wrote 'co2\|1\|http\|127\.0\.0\.1:\d+\|\/\S+'/],
  ['bad-version', 'failed', /^it chooses a version/, /version '2'/],
  ['poll-never', 'failed', /^plugin\.push_version/, /was not answered in 4000 ms/, SHORT],
  ['poll-dies-at-empty', 'failed', /^it polls again/, /^it ended with code 7/],
  ['poll-silent', 'failed', /^a method that it does not have/, /was not answered in 4000 ms/, SHORT],
  ['poll-stays', 'note', /^it ends when the relay is gone/, /continued until SIGTERM/],
];

for (const [mode, verdict, check, found, over] of BREACHES) {
  test(`${mode} is reported as ${verdict}: ${check.source}`, async (t) => {
    const { wrong, counts } = await look(t, mode, over);
    const finding = wrong.find((one) => check.test(one.check));
    t.is(finding?.verdict, verdict, JSON.stringify(wrong));
    t.regex(finding?.found ?? '', found);
    t.truthy(finding?.advice);
    t.truthy(finding?.expected);
    // A note never comes with a failure.
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
  t.regex(wrong.find(({ check }) => check === 'two processes of it run at the same time')?.found ?? '', /EADDRINUSE|code 1/);
});

if (process.platform === 'linux') {
  test('a program that listens on all addresses is reported', async (t) => {
    const { wrong } = await look(t, 'all-addresses');
    t.is(wrong.length, 1, JSON.stringify(wrong));
    t.regex(wrong[0]?.found ?? '', /^0\.0\.0\.0:\d+$/);
  });
}
