/** What monitoring systems read: health, readiness with its reasons, and metrics, as the dashboard, the alert rules and the page name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { CallTimes, DURATION_BOUNDS_MS, OTHER_METHODS } from '../../src/rpc/call-durations.ts';
import { addToken } from '../../src/access/access.ts';
import { createRelay } from '../../src/create-relay.ts';
import { Gate } from '../support/gate.ts';
import { PROJECT_DIR } from '../support/processes.ts';
import type { RelayEvent } from '../../src/relay/relay.ts';
import { freePorts, pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import { call, request } from './raw.ts';
import type { RawAnswer } from './raw.ts';
import { snippetsOf } from '../docs/snippets.ts';

const page = readFileSync(join(PROJECT_DIR, 'docs/monitoring.md'), 'utf8');
const STRANGER = { 'x-forwarded-for': '198.51.100.7' };
const PATHS = ['/healthz', '/readyz', '/metrics'];

function get(url: string, path: string, headers: Readonly<Record<string, string | undefined>> = {}): Promise<RawAnswer> {
  return request(url, { method: 'GET', path, headers });
}

/** Sample -> value: `co2_peer_waiting{peer="http://127.0.0.1:9"}` -> 1. Throws if one occurs twice. */
async function metricsOf(url: string): Promise<ReadonlyMap<string, number>> {
  const { status, headers, body } = await get(url, '/metrics');
  if (status !== 200 || headers['content-type'] !== 'text/plain; version=0.0.4; charset=utf-8') throw new Error(body.toString());
  const samples = new Map<string, number>();
  for (const line of body.toString().split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const at = line.lastIndexOf(' ');
    if (samples.has(line.slice(0, at))) throw new Error(`twice: ${line}`);
    samples.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return samples;
}

test('a starting relay is alive but not ready; a running relay is both, for GET and HEAD', async (t) => {
  const [port = 0] = await freePorts(1);
  const started = new Gate<() => void>();
  const pluginsDirectory = pluginsDir(t, {
    'ham/slow.ts': `import { Plugin, Satellite } from 'co2-relay';
      @Satellite() export class Slow extends Plugin<{ started: { push(go: () => void): void } }> {
        async setup({ started }: { started: { push(go: () => void): void } }) { await new Promise<void>((go) => started.push(go)); }
      }`,
  });
  const starting = createRelay({
    ...{ port, dataDir: join(temporaryDir(t), 'state'), pluginsDir: pluginsDirectory },
    plugins: { 'ham.slow': { started } },
  });
  const [go] = await started.first(1);
  const url = `http://127.0.0.1:${port}`;
  t.like(await get(url, '/healthz'), { status: 200, body: Buffer.from('ok\n') });
  const notYet = await get(url, '/readyz');
  t.is(notYet.status, 503);
  t.is(notYet.body.toString(), 'the relay is starting or stopping; call again in a moment\n');
  t.is((await get(url, '/metrics')).status, 503);
  go!();
  const relay = await starting;
  t.teardown(() => relay.stop());
  t.like(await get(url, '/readyz'), { status: 200, body: Buffer.from('ready\n') });
  for (const path of PATHS) {
    const head = await request(url, { method: 'HEAD', path });
    t.like(head, { status: 200, body: Buffer.alloc(0) });
    t.like(head.headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' });
  }
});

test('readyz names failed plugins and unreachable peers, and gives the causes only to authorized callers', async (t) => {
  const [closed = 0] = await freePorts(1);
  const directory = pluginsDir(t, {
    'ham/spam.ts': 'export const broken = ;',
    'ham/eggs.ts': "import { Plugin, Satellite } from 'co2-relay';\n@Satellite() export class Eggs extends Plugin { receive() {} }",
  });
  const peer = `http://user:hunter2@127.0.0.1:${closed}`;
  const relay = await startRelay(t, { pluginsDir: directory, peers: [peer] });
  const { url, events, adminToken } = relay;
  await events.next((event) => event.type === 'link.state' && event.state.type === 'never reached', { since: 0 });
  const { status, body } = await get(url, '/readyz');
  t.is(status, 503);
  const text = body.toString();
  t.is(text, `not ready\nplugin ham.spam: not-loaded\npeer http://127.0.0.1:${closed}: never reached\n`);
  t.is((await get(url, '/readyz?exclude=peers')).body.toString(), 'not ready\nplugin ham.spam: not-loaded\n');
  t.is((await get(url, '/readyz?exclude=peers&exclude=plugins')).status, 200);
  t.like(await get(url, '/readyz?exclude=peer'), {
    status: 400,
    body: Buffer.from("there is no part 'peer' to exclude; the parts are plugins and peers\n"),
  });

  const admin = await get(url, '/readyz', { authorization: `Bearer ${adminToken}`, accept: 'application/json' });
  const { ready, reasons } = JSON.parse(admin.body.toString()) as { ready: boolean; reasons: { part: string; reason: string }[] };
  t.false(ready);
  t.deepEqual(
    reasons.map(({ part }) => part),
    ['plugins', 'peers'],
  );
  t.true(reasons.every(({ reason }) => reason.length > 10));
  t.notRegex(admin.body.toString() + text, /hunter2/);
  const local = await get(url, '/readyz', { accept: 'application/json' });
  t.deepEqual((JSON.parse(local.body.toString()) as { reasons: unknown[] }).reasons[0], {
    part: 'plugins',
    name: 'ham.spam',
    state: 'not-loaded',
  });

  // The example on the page has the form of this answer.
  const example = snippetsOf(page).find(({ name }) => name === 'not-ready')!.source;
  t.is(example.replace('failed', 'not-loaded').replace('192.168.1.7:2004', `127.0.0.1:${closed}`), text);
});

test('monitoring endpoints require the read right or a covering token, and reject other verbs and foreign pages', async (t) => {
  const dataDir = temporaryDir(t);
  const open = await startRelay(t, { trustedProxies: ['127.0.0.1/32'] });
  for (const path of PATHS) t.is((await get(open.url, path, STRANGER)).status, 200, path);
  const probes = snippetsOf(page)
    .find(({ name }) => name === 'kubernetes')!
    .source.matchAll(/path: '?([^ ',]+)/g);
  for (const [, path = ''] of probes) t.is((await get(open.url, path, STRANGER)).status, 200, path);

  const [, names = ''] = /--methods (\S+)/.exec(snippetsOf(page).find(({ name }) => name === 'token')!.source)!;
  const bearer = async (name: string, methods: string[]): Promise<object> => ({
    ...STRANGER,
    authorization: `Bearer ${await addToken(dataDir, { name, classes: ['read'], methods }, undefined, new Date())}`,
  });
  const [all, some] = [await bearer('all', names.split(',')), await bearer('some', ['metrics'])];
  const closed = await startRelay(t, { dataDir, trustedProxies: ['127.0.0.1/32'], access: { anonymous: { classes: [] } } });
  for (const path of PATHS) {
    const refused = await get(closed.url, path, STRANGER);
    t.is(refused.status, 403);
    t.regex(refused.body.toString(), /^\w+ needs the right 'read', which callers from other machines do not have; present a token/);
    t.is((await get(closed.url, path, { ...all })).status, 200);
    t.is((await get(closed.url, path, { ...some })).status, path === '/metrics' ? 200 : 403);
    const wrong = await get(closed.url, path, { authorization: 'Bearer wrong' });
    t.is(wrong.status, 401);
    t.is(wrong.headers['www-authenticate'], 'Bearer');
    const post = await request(open.url, { path });
    t.is(post.status, 405);
    t.is(post.headers.allow, 'GET, HEAD');
    t.is((await get(open.url, path, { origin: 'https://other.example' })).status, 403);
    t.is((await get(open.url, path, { host: 'rebound.example' })).status, 421);
  }
});

test('metrics count events under names that callers cannot choose, and counters never decrease', async (t) => {
  const [closed = 0, gone = 0] = await freePorts(2);
  const relay = await startRelay(t, { peers: [`http://user:hunter2@127.0.0.1:${closed}`] });
  const { url, events } = relay;
  const peer = `peer="http://127.0.0.1:${closed}"`;
  const { token } = (await relay.call('relay.register', { port: gone })) as { token: string };
  const isDown = (event: RelayEvent): boolean =>
    event.type === 'link.state' && event.role === 'peer' && event.state.type === 'never reached';
  const down = events.next(isDown, { since: 0 });
  await relay.call('notify', { data: 1 });
  await relay.emit({ data: 2 });
  await down;
  await t.throwsAsync(relay.call('notify', { data: 3, host_id: 'forged@192.0.2.7:1' }));
  for (let n = 0; n < 3; n++) await call(url, `no.such.method${n}`);
  await get(url, '/metrics', { authorization: 'Bearer wrong' });

  const before = await metricsOf(url);
  const expected: readonly (readonly [sample: string, value: number])[] = [
    ['co2_dicts_accepted_total', 1],
    ['co2_dicts_sent_total', 1],
    ['co2_dicts_refused_total{reason="ORIGIN_REFUSED"}', 1],
    ['co2_inbox_delivered_total{satellite="test.recorder.Recorder"}', 1],
    [`co2_peer_state{${peer},state="never reached"}`, 1],
    [`co2_peer_state{${peer},state="up"}`, 0],
    [`co2_peer_waiting{${peer}}`, 2],
    ['co2_remote_satellites', 1],
    ['co2_remote_waiting', 2],
    ['co2_plugin_state{plugin="test.recorder",kind="inline",state="ready"}', 1],
    ['co2_call_duration_seconds_count{method="notify"}', 2],
    ['co2_call_duration_seconds_bucket{le="+Inf",method="notify"}', 2],
    ['co2_faults_total{kind="NO_SUCH_METHOD"}', 3],
    ['co2_wrong_credentials_total', 1],
    ['co2_ready', 0],
  ];
  for (const [sample, value] of expected) t.is(before.get(sample), value, sample);
  t.true(before.get(`co2_peer_bytes{${peer}}`)! > 0);
  t.true(before.get('process_resident_memory_bytes')! > 0);
  t.deepEqual(
    [...before.keys()].filter((sample) => /hunter2|no\.such/.test(sample)),
    [],
  );

  await relay.call('relay.unregister', { token });
  const after = await metricsOf(url);
  t.is(after.get('co2_remote_satellites'), 0);
  t.is(after.get('co2_remote_dropped_total'), 2, 'what waited for the satellite that left');
  for (const [sample, value] of before) if (/^co2_\w+(_total|_count|_sum)\b/.test(sample)) t.true(after.get(sample)! >= value, sample);
});

test('methods beyond the first 200 share one histogram, and removed methods free their slots', (t) => {
  const times = new CallTimes();
  for (let n = 0; n < 250; n++) times.record(`ham.spam.m${n}`, n === 0 ? 60_000 : DURATION_BOUNDS_MS[1]!);
  t.is(times.list().length, 201);
  t.deepEqual(times.list()[0], { method: 'ham.spam.m0', buckets: [...new Array<number>(10).fill(0), 1], totalMs: 60_000 });
  const other = times.list().find(({ method }) => method === OTHER_METHODS)!;
  t.is(other.buckets[1], 50, 'a duration on a bound is in the bucket of the bound');
  times.makeRoom((method) => method === 'ham.spam.m7');
  t.deepEqual(
    times.list().map(({ method }) => method),
    ['ham.spam.m7', OTHER_METHODS],
  );
  times.record('ham.spam.m249', 1);
  t.is(times.list().length, 3);
});

/** The expressions in the dashboard and the alert rules. */
function expressions(): readonly string[] {
  const dashboard = readFileSync(join(PROJECT_DIR, 'examples/monitoring/dashboard.json'), 'utf8');
  const found: string[] = [];
  JSON.parse(dashboard, (key, value: unknown) => {
    if ((key === 'expr' || key === 'definition') && typeof value === 'string') found.push(value);
    return value;
  });
  const rules = readFileSync(join(PROJECT_DIR, 'examples/monitoring/alerts.yml'), 'utf8');
  const alerts = [...rules.matchAll(/^ {8}expr: (?:>-\n((?: {10}.*\n)+)|(.*)\n)/gm)].map(([, folded, plain]) => folded ?? plain ?? '');
  if (found.length < 30 || alerts.length !== rules.split('alert: ').length - 1) throw new Error('the expressions are not found');
  return [...found, ...alerts];
}

test('every metric and label in the dashboard and the alert rules exists, and the page lists every metric', async (t) => {
  const [closed = 0] = await freePorts(1);
  const web = {
    watchers: { told: { type: 'watch.http' } },
    reactors: { hook: { type: 'react.webhook', cfg: { url: 'http://example.org/' } } },
  };
  const services = { bundled: ['watch' as const, 'react' as const], services: { web } };
  const { url } = await startRelay(t, { peers: [`http://127.0.0.1:${closed}`], nick: 'attic', ...services });
  await call(url, 'ping');
  await call(url, 'relay.ping', ['attic']);
  const labels = new Map<string, Set<string>>();
  for (const sample of (await metricsOf(url)).keys()) {
    const [name = '', list = ''] = sample.split('{');
    const known = labels.get(name) ?? new Set(['instance', 'job']);
    for (const [, label = ''] of list.matchAll(/(\w+)="/g)) known.add(label);
    labels.set(name, known);
  }
  const unknown: string[] = [];
  const used = new Set<string>();
  for (const expression of expressions()) {
    for (const [, name = '', selector = ''] of expression.matchAll(/\b((?:co2|process|nodejs)_\w+)(?:\{([^}]*)\})?/g)) {
      used.add(name);
      for (const [, label = ''] of selector.matchAll(/(\w+)(?:=~?|!=)"/g))
        if (labels.get(name)?.has(label) !== true) unknown.push(`${name}{${label}}`);
      if (!labels.has(name)) unknown.push(name);
    }
  }
  t.deepEqual(unknown, []);
  t.true(used.size > 30);
  const own = [...labels.keys()]
    .filter((name) => name.startsWith('co2_'))
    .map((name) => name.replace(/(?<=_seconds)_(bucket|sum|count)$/, ''));
  const listed = [...page.matchAll(/^\| `(co2_\w+)`/gm)].map(([, name]) => name!);
  t.deepEqual([...new Set(own)].sort(), listed.sort());
});
