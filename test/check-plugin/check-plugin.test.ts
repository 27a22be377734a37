/** `co2 check-plugin` with correct and hostile programs; it leaves no process behind. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { Finding } from '../../src/check-plugin/check-plugin.ts';
import { PROJECT_DIR } from '../support/processes.ts';
import { FIXTURE, look } from './kit.ts';

const PAGE = readFileSync(join(PROJECT_DIR, 'docs/protocol-for-programs.md'), 'utf8');

const detail = (findings: readonly Finding[], check: RegExp): string | undefined => findings.find((one) => check.test(one.check))?.detail;

test('a correct program with a server passes all checks, and what it sends is shown', async (t) => {
  const { wrong, counts, skipped, findings, wire } = await look(t, 'good', { callsMethods: true });
  t.deepEqual(wrong, []);
  t.deepEqual({ ...counts, skipped }, { ok: findings.length, note: 0, failed: 0, skipped: 0 });
  t.regex(detail(findings, /^its first line is valid/) ?? '', /^it has a server on port \d+$/);
  t.is(detail(findings, /^plugin\.describe/), 'receive, exposed; ham.add');
  t.is(detail(findings, /^its methods answer/), 'ham.add(int, int)');
  t.is(detail(findings, /^its calls of the relay/), 'relay.relay({"data":"pong"})');
  t.regex(detail(findings, /^SIGTERM/) ?? '', /SIGTERM$/);
  t.true(wire.some((text) => text.startsWith('> <?xml') && text.includes('<methodName>plugin.setup</methodName>')));
  t.true(wire.some((text) => text.startsWith('< HTTP/1.1 200 OK') && text.includes('<methodResponse>')));
  t.true(wire.some((text) => text.startsWith('first line: co2|1|http')));
});

test('a correct program without a server passes all checks', async (t) => {
  const { wrong, findings } = await look(t, 'poll-good');
  t.deepEqual(wrong, []);
  t.is(detail(findings, /^its first line is valid/), 'it polls for its calls');
  t.is(detail(findings, /^it ends when the relay is gone/), 'it ended by itself');
  t.false(findings.some(({ check }) => check.includes('other paths')));
});

for (const mode of ['work', 'poll-work']) {
  test(`correct work passes all checks: ${mode}`, async (t) => {
    const { wrong, findings } = await look(t, mode, { callsMethods: true });
    t.deepEqual(wrong, []);
    t.is(detail(findings, /^plugin\.execute/), 'ham:echo');
    t.is(detail(findings, /^its work pushes/), 'ham:echo: 3 items');
    t.regex(detail(findings, /^work that it does not offer/) ?? '', /no such work/);
    t.regex(detail(findings, /^a parameter that/) ?? '', /no_such_parameter/);
    t.true(findings.some(({ check }) => check === 'plugin.cancel ends its work'));
  });
}

test('its methods are only called on request', async (t) => {
  const { findings, wire } = await look(t, 'good');
  t.false(findings.some(({ check }) => check.startsWith('its methods answer')));
  t.false(wire.some((text) => text.includes('<methodName>ham.add</methodName>')));
});

test('a configuration and variables reach it', async (t) => {
  const record = { name: 'ham', exec: process.execPath, args: [FIXTURE, 'wants-config'], config: { colour: 'red' } };
  t.deepEqual((await look(t, 'wants-config', { record })).wrong, []);
});

test('another process restores the state of plugin.handover', async (t) => {
  const { wrong, wire } = await look(t, 'handover');
  t.deepEqual(wrong, []);
  const restored = wire.findIndex((text) => text.includes('<methodName>plugin.restore</methodName>'));
  t.true(wire[restored]?.includes('<string>state</string>'));
});

test('checks after a failure that ends the program are counted as skipped', async (t) => {
  const { skipped, wrong } = await look(t, 'dies-at-nil');
  t.true(skipped > 0);
  t.deepEqual(
    wrong.map(({ check }) => check),
    ['it accepts nil'],
  );
});

const HOSTILE: readonly (readonly [mode: string, check: RegExp, found: RegExp])[] = [
  ['floods', /^its other output/, /more lines/],
  ['huge', /^it accepts a message/, /larger than \d+ bytes/],
  ['not-xml', /^it accepts a message/, /not XML-RPC/],
];

for (const [mode, check, found] of HOSTILE) {
  test(`hostile: ${mode} is bounded and reported`, async (t) => {
    const { wrong } = await look(t, mode);
    t.regex(wrong.find((one) => check.test(one.check))?.found ?? '', found);
  });
}

test('hostile: an endless line does not block the checks', async (t) => {
  t.deepEqual((await look(t, 'endless-line')).wrong, []);
});

test('no process is left when the check is canceled', async (t) => {
  const canceled = new AbortController();
  let port = 0;
  const result = look(t, 'good', {
    signal: canceled.signal,
    onFinding: ({ check, detail: seen }) => {
      if (check.startsWith('its first line is valid')) port = Number(/\d+/.exec(seen ?? '')?.[0]);
      if (check.startsWith('plugin.setup')) canceled.abort();
    },
  });
  await t.throwsAsync(result, { any: true, name: 'AbortError' });
  t.true(port > 0);
  await t.throwsAsync(fetch(`http://127.0.0.1:${port}/`));
});

test('every failure names a section of the page', async (t) => {
  const headings = new Set([...PAGE.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading));
  const source = readFileSync(join(PROJECT_DIR, 'src/check-plugin/outcome.ts'), 'utf8');
  const sections = [...(/export type Section =([^;]*);/.exec(source)?.[1] ?? '').matchAll(/'([^']+)'/g)].map(([, name]) => name);
  t.true(sections.length > 3);
  for (const section of sections) t.true(headings.has(section), section);
});

test('what cannot be a program is rejected before anything is started', async (t) => {
  const code = 'CONFIG_INVALID';
  const record = { name: 'ham', exec: './nothing-there' };
  await t.throwsAsync(look(t, '', { record }), { code, message: /^there is no .*nothing-there$/ });
  await t.throwsAsync(look(t, '', { record: { ...record, name: 'relay.ham' } }), { code, message: /^--name: 'relay\.ham'/ });
  await t.throwsAsync(look(t, '', { record: { ...record, exec: FIXTURE } }), { code, message: /chmod \+x/ });
});

const RECORDER = fileURLToPath(new URL('../fixtures/programs/recorder.mjs', import.meta.url));
const RECORDINGS = 'its datasources record and stop';
const COMMANDS = 'its controllers answer several commands at once';

test('datasources and controllers are checked, and what is wrong with them is named', async (t) => {
  const found = async (mistake: string, check: string) => {
    const record = { name: 'lab', exec: process.execPath, args: [RECORDER, mistake] };
    const { findings } = await look(t, '', { record, callsMethods: true });
    const finding = findings.find((one) => one.check === check);
    return `${finding?.verdict ?? 'none'}${finding && 'found' in finding ? `: ${finding.found ?? ''}` : ''}`;
  };
  const [well, commands, deaf, odd, wrongCommand] = await Promise.all([
    found('', RECORDINGS),
    found('', COMMANDS),
    found('deaf', RECORDINGS),
    found('odd', RECORDINGS),
    found('odd', COMMANDS),
  ]);
  t.regex(well, /^ok/);
  t.regex(commands, /^ok/);
  t.is(deaf, 'failed: lab:record goes on pushing frames after it was stopped');
  t.regex(odd, /^failed: .*the type of a frame must be a media type/);
  t.regex(wrongCommand, /^failed: .*the type of a frame must be a media type/);
  t.is(await found('silent', RECORDINGS), 'note: no frame came of lab:record');
});
