/** Every method that is registered, by every kind of credential, over HTTP, held against the table of roles as it is written down here. */
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { AccessClass } from '../../src/core/core.ts';
import { addToken, removeToken } from '../../src/access/access.ts';
import { pluginsDir, startRelay, temporaryDir } from '../support/relays.ts';
import { call, request } from './raw.ts';
import type { RawAnswer } from './raw.ts';

// The class of each method, by what it does. A method that is not here fails the test: decide, and write it down.
const READ = [
  ['ping', 'web.ping', 'test', 'web.test', 'system.get_properties', 'system.listMethods', 'co2.get_method_names', 'web.get_method_names'],
  ['co2.get_method_help', 'system.methodHelp', 'web.get_method_help', 'co2.get_method_signature', 'web.get_method_signature'],
  ['system.methodSignature', 'system.getCapabilities', 'system.describeMethods', 'system.multicall', 'method_call', 'web.method_call'],
].flat();
const CLASS_OF = new Map<string, AccessClass>([
  ...READ.map((name) => [name, 'read'] as const),
  ['notify', 'message'],
  ['relay.relay', 'message'],
  ['relay.register', 'message'],
  ['relay.unregister', 'message'],
  ...['relay', 'co2', 'web'].flatMap((side) => [
    [`${side}.get_satellites`, 'read'] as const,
    [`${side}.get_num_satellites`, 'read'] as const,
  ]),
  ...['relay.call', 'relay.log', 'relay.push_items', 'plugin.next', 'plugin.answer', 'plugin.answer_fault'].map(
    (name) => [name, 'call'] as const,
  ),
  ['relay.ping', 'read'],
  ...['get_nodes', 'get_routes', 'get_network_methods', 'traceroute'].map((word) => [`relay.${word}`, 'call'] as const),
  ...['hello', 'push', 'pull'].map((word) => [`relay.${word}`, 'read'] as const),
  ...['list', 'show', 'retry', 'drop'].map((word) => [`outbox.${word}`, 'admin'] as const),
  ['relay.get_peers', 'admin'],
  ...['get_trust', 'pair', 'trust', 'forget'].map((word) => [`relay.${word}`, 'admin'] as const),
  ['relay.get_status', 'admin'],
  ['relay.get_log', 'admin'],
  ['relay.watch', 'message'],
  ['relay.watch_events', 'admin'],
  ...['list', 'info', 'start', 'stop', 'unload', 'restart', 'reload', 'load', 'add', 'remove', 'subscribe_state', 'log'].map(
    (word) => [`plugin.${word}`, 'admin'] as const,
  ),
  ...['dead_letters', 'replay', 'drop_letter'].map((word) => [`plugin.${word}`, 'admin'] as const),
  ...['list', 'get', 'start', 'stop', 'subscribe', 'replay', 'command', 'frames', 'cancel'].map(
    (word) => [`recording.${word}`, 'call'] as const,
  ),
  ...['types', 'submit', 'list', 'status', 'results', 'cancel', 'release', 'changes', 'page', 'payload'].map(
    (word) => [`work.${word}`, 'call'] as const,
  ),
  ...['list', 'status', 'watch'].map((word) => [`service.${word}`, 'call'] as const),
  ...['start', 'stop'].map((word) => [`service.${word}`, 'admin'] as const),
  ['ham.spam.plain', 'call'],
  ['ham.spam.traffic', 'message'],
  ['ham.spam.operate', 'admin'],
]);

/** Open to everybody, since it finds out who calls; a wrong credential is refused all the same. */
const FOR_ALL: ReadonlySet<string> = new Set(['relay.hello', 'relay.push', 'relay.pull']);
const NESTING: ReadonlySet<string> = new Set(['system.multicall', 'method_call', 'web.method_call', 'relay.call', 'plugin.next']);
/** Of plugins alone, whatever rights others have. */
const PLUGINS_ONLY: ReadonlySet<string> = new Set(['relay.log', 'relay.push_items', 'plugin.next', 'plugin.answer', 'plugin.answer_fault']);

const PLUGIN = `import { Exposed, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  @Exposed() plain() { return 1; }
  @Exposed({ access: 'message' }) traffic() { return 1; }
  @Exposed({ access: 'admin' }) operate() { return 1; }
}`;

type Outcome = 'passes' | 401 | 403;
interface Credential {
  readonly what: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The rights of each role by default. */
  readonly expected: (method: string, needed: AccessClass) => Outcome;
}

/** What a page shows, and the method that answers the same. */
const SHOWN = [
  ['properties', 'system.get_properties'],
  ['methods', 'co2.get_method_names'],
  ['satellites', 'relay.get_satellites'],
  ['plugins', 'plugin.list'],
  ['nodes', 'relay.get_nodes'],
] as const;

const NEVER = (): Outcome => 401;
const may =
  (...classes: readonly AccessClass[]) =>
  (_method: string, needed: AccessClass): Outcome =>
    classes.includes(needed) ? 'passes' : 403;

const CLASSES = ['read', 'message', 'call', 'admin'] as const;
const STRANGER = { 'x-forwarded-for': '198.51.100.7' };

async function credentials(t: ExecutionContext, dataDir: string, adminToken: string): Promise<readonly Credential[]> {
  const now = new Date();
  const bearer = async (name: string, classes: readonly AccessClass[], methods = ['*'], expires?: Date): Promise<object> => ({
    authorization: `Bearer ${await addToken(dataDir, { name, classes, methods }, expires, now)}`,
  });
  const list: Credential[] = [
    { what: 'none, on this machine', headers: {}, expected: may('read', 'message', 'call') },
    { what: 'none, a peer', headers: { 'x-forwarded-for': '198.51.100.9' }, expected: may('read', 'message', 'call') },
    { what: 'none, a stranger', headers: STRANGER, expected: may('read') },
    { what: 'empty', headers: { authorization: '' }, expected: NEVER },
    { what: 'wrong', headers: { authorization: 'Bearer wrong' }, expected: NEVER },
    { what: 'wrong, a stranger', headers: { ...STRANGER, authorization: 'Bearer wrong' }, expected: NEVER },
    { what: 'a hash instead of a token', headers: { authorization: `Bearer ${'0'.repeat(64)}` }, expected: NEVER },
    { what: 'expired', headers: { ...(await bearer('expired', CLASSES, ['*'], new Date(now.getTime() - 1))) }, expected: NEVER },
    { what: 'revoked', headers: { ...(await bearer('revoked', CLASSES)) }, expected: NEVER },
    { what: 'no class', headers: { ...(await bearer('no-class', [])) }, expected: () => 403 },
    { what: 'other methods', headers: { ...(await bearer('others', CLASSES, ['eggs.*', 'pin'])) }, expected: () => 403 },
    {
      what: 'all classes',
      headers: { ...STRANGER, ...(await bearer('right', CLASSES, ['*'], new Date(now.getTime() + 1e8))) },
      expected: () => 'passes',
    },
    { what: 'admin', headers: { ...STRANGER, authorization: `Bearer ${adminToken}` }, expected: () => 'passes' },
    {
      what: 'globs',
      headers: { ...(await bearer('globs', CLASSES, ['ham.*', 'ping'])) },
      expected: (method) => (/^(ham\..*|ping)$/.test(method) ? 'passes' : 403),
    },
  ];
  for (const one of CLASSES) list.push({ what: `${one} alone`, headers: { ...(await bearer(`only-${one}`, [one])) }, expected: may(one) });
  await removeToken(dataDir, 'revoked');
  t.true(list.length >= 18);
  return list;
}

type Headers = Credential['headers'];
// What a denial says; a method may answer 403 for reasons of its own.
const DENIED = /needs the right|not among the methods|only plugins that the relay runs may call/;

/** The endpoints: each calls `method` without parameters and says what happened. */
const ENDPOINTS: Readonly<Record<string, (url: string, method: string, headers: Headers) => Promise<Outcome>>> = {
  'XML-RPC': async (url, method, headers) => {
    const answer = await call(url, method, [], { headers });
    return answer.kind === 'fault' ? judged(answer.code, answer.text) : 'passes';
  },
  'JSON-RPC': async (url, method, headers) => {
    const answer = await request(url, json({ jsonrpc: '2.0', method, id: 1 }, headers));
    const { error } = JSON.parse(answer.body.toString()) as { error?: { code: number; message: string } };
    return error ? requireStatus(answer, judged(error.code, error.message)) : 'passes';
  },
  'JSON-RPC batch': async (url, method, headers) => {
    const answer = await request(url, json([{ jsonrpc: '2.0', method, id: 1 }], headers));
    const body = JSON.parse(answer.body.toString()) as unknown;
    const [{ error }] = (Array.isArray(body) ? body : [body]) as [{ error?: { code: number; message: string } }];
    return error ? judged(error.code, error.message) : 'passes';
  },
  REST: async (url, method, headers) => {
    const answer = await request(url, { ...json([], headers), path: `/api/${method}` });
    if (answer.status === 200) return 'passes';
    const { code, detail } = JSON.parse(answer.body.toString()) as { code: number; detail: string };
    return requireStatus(answer, judged(code, detail));
  },
};

function json(body: unknown, headers: Headers): object {
  return { body: JSON.stringify(body), headers: { 'content-type': 'application/json', ...headers } };
}

function judged(code: number, text: string): Outcome {
  if (code === 401) return 401;
  return code === 403 && DENIED.test(text) ? 403 : 'passes';
}

/** The JSON endpoints also report a denial by the status. */
function requireStatus({ status }: RawAnswer, judgement: Outcome): Outcome {
  if (judgement !== 'passes' && status !== judgement) throw new Error(`denied with ${judgement} in HTTP ${status}`);
  return judgement;
}

test('every endpoint applies the access rules to every registered method and kind of credential', async (t) => {
  const dataDir = join(temporaryDir(t), 'state');
  const config = {
    dataDir,
    pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }),
    peers: ['http://198.51.100.9:1'],
    peerPingIntervalMs: 0,
    trustedProxies: ['127.0.0.0/8'],
    maxWrongCredentials: 10_000,
    limits: Object.fromEntries(['anonymous', 'token', 'local', 'peer'].map((role) => [role, { perSecond: 1e6, burst: 1e6 }])),
  };
  const first = await startRelay(t, config);
  const all = await credentials(t, dataDir, first.adminToken);
  await first.stop();
  // A second start knows the tokens at once; that a running relay sees them has a test of its own.
  const relay = await startRelay(t, config);
  const names = (await relay.call('system.listMethods')) as readonly string[];
  t.deepEqual(
    names.filter((name) => !CLASS_OF.has(name)),
    [],
    'methods whose class nobody wrote down here',
  );
  t.deepEqual(
    [...CLASS_OF.keys()].filter((name) => !names.includes(name)),
    [],
    'methods that are not there any more',
  );
  for (const name of names) {
    for (const { what, headers, expected } of all) {
      const byRights = expected(name, CLASS_OF.get(name)!);
      const allowed = FOR_ALL.has(name) && byRights === 403 ? 'passes' : byRights;
      const wanted = PLUGINS_ONLY.has(name) && allowed === 'passes' ? 403 : allowed;
      // A call of calls is never one of a batch: refused before anybody asks who may.
      const endpoints = Object.entries(ENDPOINTS).filter(
        ([endpoint]) => endpoint !== 'JSON-RPC batch' || !NESTING.has(name) || wanted === 401,
      );
      for (const [endpoint, outcome] of endpoints)
        t.is(await outcome(relay.url, name, headers), wanted, `${endpoint}: ${name} with the credential: ${what}`);
    }
  }
  for (const { what, headers, expected } of all) {
    const page = await request(relay.url, { method: 'GET', path: '/', headers: { ...headers, accept: 'application/json' } });
    const shown = SHOWN.filter(([, method]) => expected(method, CLASS_OF.get(method)!) === 'passes').map(([part]) => part);
    const refused = expected('ping', 'read') === 401 ? 401 : 403;
    t.is(page.status, shown.length > 0 ? 200 : refused, `the page with the credential: ${what}`);
    if (page.status === 200) t.deepEqual(Object.keys(JSON.parse(page.body.toString()) as object), shown, what);
  }
});
