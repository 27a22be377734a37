/** `POST /api/<method>` of a running relay: parameters and answers as JSON, refusals as problem documents with their status. */
import test from 'ava';
import { pluginsDir, startRelay } from '../support/relays.ts';
import { request } from './raw.ts';
import type { RawAnswer, RawRequest } from './raw.ts';

const PLUGIN = `import { Exposed, Fault, Plugin, Satellite } from 'co2-relay';
@Satellite() export class Spam extends Plugin {
  /** Adds. */
  @Exposed({ params: ['int', 'int'], returns: 'int' }) add(a, b) { return a + b; }
  @Exposed() greet({ name }) { return { text: 'Hello ' + name, at: new Date(0), bytes: Buffer.from('ä') }; }
  @Exposed() count(...all) { return all.length; }
  @Exposed() faults() { throw new Fault(42, 'no such room'); }
  @Exposed() breaks() { throw new Error('/etc/secret'); }
  @Exposed() hangs() { return new Promise(() => {}); }
  @Exposed() unwritable() { return NaN; }
}`;

const JSON_TYPE = { 'content-type': 'application/json' };

function post(url: string, method: string, body: string, what: RawRequest = {}): Promise<RawAnswer> {
  const length = body === '' ? { 'content-length': '0' } : {};
  return request(url, { path: `/api/${method}`, ...what, body, headers: { ...JSON_TYPE, ...length, ...what.headers } });
}

interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: number;
}

/** The document of a refusal, which has a media type, a length and a status of its own that agree. */
function problemOf({ status, headers, body }: RawAnswer): Problem {
  const problem = JSON.parse(body.toString()) as Problem;
  if (!headers['content-type']?.startsWith('application/problem+json')) throw new Error(`type ${headers['content-type'] ?? 'none'}`);
  if (problem.status !== status) throw new Error(`status ${problem.status} in ${status}`);
  if (headers['content-length'] !== String(body.length)) throw new Error('no length');
  if (Object.keys(problem).join() !== 'type,title,status,detail,code' || problem.type !== 'about:blank') throw new Error(body.toString());
  return problem;
}

test('an array holds the parameters, an object is a single struct, and an empty body means none; the response is JSON', async (t) => {
  const { url } = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }) });
  const cases: readonly (readonly [method: string, body: string, answer: string])[] = [
    ['ham.spam.add', '[2, 3]', '5'],
    ['ham.spam.greet', '{"name": "Ann"}', '{"text":"Hello Ann","at":{"$date":"1970-01-01T00:00:00Z"},"bytes":{"$base64":"w6Q="}}'],
    ['ham.spam.count', '[[1, 2]]', '1'],
    ['ham.spam.count', '{}', '1'],
    ['ham.spam.count', '[]', '0'],
    ['ham.spam.count', '', '0'],
    ['ping', '[]', 'true'],
    ['test', '[null]', 'null'],
    ['test', '["x"]', '"x"'],
    ['ham%2Espam.add', '[1,1]', '2'],
    ['ping?x=1', '[]', 'true'],
  ];
  for (const [method, body, expected] of cases) {
    const { status, headers, body: bytes } = await post(url, method, body);
    t.is(status, 200, method);
    t.is(bytes.toString(), expected);
    t.regex(headers['content-type']!, /^application\/json/);
    t.is(headers['content-length'], String(bytes.length));
  }
});

test('a failure is a problem document whose status distinguishes client from server errors', async (t) => {
  const { url } = await startRelay(t, { pluginsDir: pluginsDir(t, { 'ham/spam.ts': PLUGIN }), callTimeoutMs: 1, maxMulticall: 1 });
  const cases: readonly (readonly [method: string, body: string, status: number, code: number, detail: RegExp])[] = [
    ['no.such', '[]', 404, -32601, /no method is named 'no\.such'; co2\.get_method_names lists them all$/],
    ['ham.spam.ad', '[1,2]', 404, -32601, /no method is named 'ham\.spam\.ad'; did you mean "ham\.spam\.add"\?$/],
    ['__proto__', '[]', 404, -32601, /no method/],
    ['ping', '{', 400, -32700, /^line 1, column 2: /],
    ['ping', '{"a":1,"a":2}', 400, -32700, /is repeated/],
    ['ping', '5', 400, -32600, /no list of parameters and no object/],
    ['ping', '{"$date":"2026-11-21T09:30:00Z"}', 400, -32600, /no list/],
    ['ham.spam.add', '[1.5, 2]', 422, -32602, /parameter 1 is a double, expected int/],
    ['ham.spam.add', '[1]', 422, -32602, /1 parameter given/],
    ['notify', '{}', 422, -32602, /no member 'data'/],
    ['notify', '{"data":1,"host_id":"x@203.0.113.5:1"}', 403, 403, /./],
    ['relay.get_status', '[]', 403, 403, /needs the right 'admin'/],
    ['ham.spam.faults', '[]', 422, 42, /^no such room$/],
    ['ham.spam.breaks', '[]', 500, -32500, /error [0-9a-f]{8}/],
    ['ham.spam.unwritable', '[]', 500, -32603, /^ham\.spam\.unwritable: result: NaN cannot be sent/],
    ['ham.spam.hangs', '[]', 504, 504, /did not answer in 1 ms/],
    ['ping', '['.repeat(65), 413, 413, /deeper than 64/],
    ['system.multicall', '[[{"methodName":"ping","params":[]},{"methodName":"ping","params":[]}]]', 413, 413, /maxMulticall/],
  ];
  for (const [method, body, status, code, detail] of cases) {
    const answer = await post(url, method, body);
    t.is(answer.status, status, `${method} ${body.slice(0, 80)}: ${answer.body.toString()}`);
    const problem = problemOf(answer);
    t.is(problem.code, code, method);
    t.regex(problem.detail, detail);
    t.notRegex(problem.detail, /secret/);
    t.true(problem.title.length > 2);
  }
});

test('requests rejected before the call get a problem document, too', async (t) => {
  const relay = await startRelay(t, {
    maxBodyBytes: 1024,
    trustedProxies: ['127.0.0.0/8'],
    limits: { anonymous: { perSecond: 0.01, burst: 1 } },
  });
  const { url } = relay;
  const cases: readonly (readonly [what: RawRequest, status: number, detail: RegExp])[] = [
    [{ headers: { 'content-type': 'text/plain' } }, 415, /application\/json/],
    [{ headers: { 'content-type': 'text/xml' } }, 415, /application\/json/],
    [{ headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415, /application\/json/],
    [{ headers: { 'content-encoding': 'gzip' } }, 415, /acceptGzip/],
    [{ headers: { origin: 'https://evil.example' } }, 403, /allowedOrigins/],
    [{ headers: { 'sec-fetch-site': 'cross-site' } }, 403, /another site/],
    [{ headers: { host: 'evil.example' } }, 421, /allowedHosts/],
    [{ headers: { 'content-length': '2000' } }, 413, /maxBodyBytes/],
    [{ headers: { expect: 'miracles' } }, 417, /100-continue/],
    [{ headers: { authorization: 'Bearer wrong' } }, 401, /token is wrong/],
  ];
  for (const [what, status, detail] of cases) {
    const answer = await post(url, 'ping', '[]', what);
    t.is(answer.status, status, JSON.stringify(what));
    t.regex(problemOf(answer).detail, detail);
    t.is(answer.headers['access-control-allow-origin'], undefined);
    t.is(answer.headers['www-authenticate'], status === 401 ? 'Bearer' : undefined);
  }
  const unreadable = [
    ['GET', '%zz'],
    ['POST', '%zz'],
    ['POST', 'x'.repeat(1025)],
  ] as const;
  for (const [method, name] of unreadable) {
    const answer = await post(url, name, '[]', { method });
    t.like(problemOf(answer), { status: 400, title: 'Bad Request', code: 400 });
    t.regex(problemOf(answer).detail, /an invalid escape or a name that is too long/);
  }
  const headers = { 'x-forwarded-for': '198.51.100.7' };
  t.is((await post(url, 'ping', '[]', { headers })).status, 200);
  const often = await post(url, 'ping', 'garbage', { headers });
  t.like(problemOf(often), { status: 429, title: 'Too Many Requests' });
  t.true(Number(often.headers['retry-after']) > 0);
});

test('other verbs return 405 with Allow for any method and body; no other path is an endpoint', async (t) => {
  const { url } = await startRelay(t);
  for (const method of ['GET', 'HEAD', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']) {
    for (const name of ['ping', 'no.such']) {
      const answer = await request(url, { method, path: `/api/${name}` });
      t.is(answer.status, 405, method);
      t.is(answer.headers.allow, 'POST');
      if (method !== 'HEAD') t.regex(problemOf(answer).detail, /POST the parameters as JSON/);
      for (const name of Object.keys(answer.headers)) t.false(name.startsWith('access-control-'), name);
    }
  }
  for (const path of ['/api', '/api/', '/api/ping/', '/api/a/b', '/API/ping', '/api//ping', '/api/../RPC2']) {
    for (const method of ['GET', 'POST'])
      t.is((await request(url, { method, path, headers: JSON_TYPE, body: '[]' })).status, 404, `${method} ${path}`);
  }
});

test('error responses to HTTP/1.0 calls and HEAD requests have a length, too', async (t) => {
  const { url } = await startRelay(t);
  const old = await post(url, 'no.such', '[]', { version: '1.0' });
  t.is(problemOf(old).status, 404);
  const head = await request(url, { method: 'HEAD', path: '/api/ping' });
  t.true(Number(head.headers['content-length']) > 0);
  t.is(head.body.length, 0);
});
