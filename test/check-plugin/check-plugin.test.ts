/** What `co2 check-plugin` finds of programs that are right, of hostile ones, and what it leaves behind: nothing. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { Finding } from '../../src/check-plugin/check-plugin.ts';
import { PROJECT_DIR } from '../support/processes.ts';
import { FIXTURE, look } from './kit.ts';

const PAGE = readFileSync(join(PROJECT_DIR, 'docs/protocol-for-programs.md'), 'utf8');

const detail = (findings: readonly Finding[], check: RegExp): string | undefined => findings.find((one) => check.test(one.check))?.detail;

test('of a program with a server all holds, and what it sends is shown', async (t) => {
  const { wrong, counts, leftOut, findings, wire } = await look(t, 'good', { callsMethods: true });
  t.deepEqual(wrong, []);
  t.deepEqual({ ...counts, leftOut }, { ok: findings.length, note: 0, failed: 0, leftOut: 0 });
  t.regex(detail(findings, /^its first line says/) ?? '', /^it has a server, at port \d+$/);
  t.is(detail(findings, /^plugin\.describe/), 'receive, exposed; ham.add');
  t.is(detail(findings, /^its methods answer/), 'ham.add(int, int)');
  t.is(detail(findings, /^what it calls/), 'relay.relay({"data":"pong"})');
  t.regex(detail(findings, /^SIGTERM/) ?? '', /SIGTERM$/);
  t.true(wire.some((text) => text.startsWith('> <?xml') && text.includes('<methodName>plugin.setup</methodName>')));
  t.true(wire.some((text) => text.startsWith('< HTTP/1.1 200 OK') && text.includes('<methodResponse>')));
  t.true(wire.some((text) => text.startsWith('first line: co2|1|http')));
});

test('of a program without a server all holds, too', async (t) => {
  const { wrong, findings } = await look(t, 'poll-good');
  t.deepEqual(wrong, []);
  t.is(detail(findings, /^its first line says/), 'it fetches its calls');
  t.is(detail(findings, /^without the relay/), 'it ended by itself');
  t.false(findings.some(({ check }) => check.includes('another path')));
});

test('its methods are called only if somebody says so', async (t) => {
  const { findings, wire } = await look(t, 'good');
  t.false(findings.some(({ check }) => check.startsWith('its methods answer')));
  t.false(wire.some((text) => text.includes('<methodName>ham.add</methodName>')));
});

test('a configuration and variables reach it', async (t) => {
  const record = { name: 'ham', exec: process.execPath, args: [FIXTURE, 'wants-config'], config: { colour: 'red' } };
  t.deepEqual((await look(t, 'wants-config', { record })).wrong, []);
});

test('a state that is handed over is taken by another process', async (t) => {
  const { wrong, wire } = await look(t, 'handover');
  t.deepEqual(wrong, []);
  const restored = wire.findIndex((text) => text.includes('<methodName>plugin.restore</methodName>'));
  t.true(wire[restored]?.includes('<string>state</string>'));
});

test('what comes after a failure that ends it is counted, not guessed', async (t) => {
  const { leftOut, wrong } = await look(t, 'dies-at-nil');
  t.true(leftOut > 0);
  t.deepEqual(
    wrong.map(({ check }) => check),
    ['it takes nil'],
  );
});

const HOSTILE: readonly (readonly [mode: string, check: RegExp, came: RegExp])[] = [
  ['floods', /^what it writes besides/, /more lines/],
  ['huge', /^it takes a message/, /larger than \d+ bytes/],
  ['not-xml', /^it takes a message/, /not XML-RPC/],
];

for (const [mode, check, came] of HOSTILE) {
  test(`hostile: ${mode} is bounded and told`, async (t) => {
    const { wrong } = await look(t, mode);
    t.regex(wrong.find((one) => check.test(one.check))?.came ?? '', came);
  });
}

test('hostile: a line without an end holds up nothing', async (t) => {
  t.deepEqual((await look(t, 'endless-line')).wrong, []);
});

test('given up, it leaves no process', async (t) => {
  const told = new AbortController();
  let port = 0;
  const looked = look(t, 'good', {
    signal: told.signal,
    onFinding: ({ check, detail: seen }) => {
      if (check.startsWith('its first line says')) port = Number(/\d+/.exec(seen ?? '')?.[0]);
      if (check.startsWith('plugin.setup')) told.abort();
    },
  });
  await t.throwsAsync(looked, { any: true, name: 'AbortError' });
  t.true(port > 0);
  await t.throwsAsync(fetch(`http://127.0.0.1:${port}/`));
});

test('every failure names a section that the page has', async (t) => {
  const headings = new Set([...PAGE.matchAll(/^## (.*)$/gm)].map(([, heading]) => heading));
  const source = readFileSync(join(PROJECT_DIR, 'src/check-plugin/outcome.ts'), 'utf8');
  const sections = [...(/export type Section =([^;]*);/.exec(source)?.[1] ?? '').matchAll(/'([^']+)'/g)].map(([, name]) => name);
  t.true(sections.length > 3);
  for (const section of sections) t.true(headings.has(section), section);
});

test('what cannot be a program is told before anything is started', async (t) => {
  const code = 'CONFIG_INVALID';
  const record = { name: 'ham', exec: './nothing-there' };
  await t.throwsAsync(look(t, '', { record }), { code, message: /^there is no .*nothing-there$/ });
  await t.throwsAsync(look(t, '', { record: { ...record, name: 'relay.ham' } }), { code, message: /^--name: 'relay\.ham'/ });
  await t.throwsAsync(look(t, '', { record: { ...record, exec: FIXTURE } }), { code, message: /chmod \+x/ });
});
