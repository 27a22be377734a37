/** The page of a GET: its forms, one method alone, strict headers for browsers, and example lines that work. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { wantedForm } from '../../src/http/page-endpoint.ts';
import type { PageForm } from '../../src/http/page-endpoint.ts';
import { callExamples } from '../../src/http/call-examples.ts';
import { HTML_HEADERS, htmlMethod, htmlPage } from '../../src/http/html-page.ts';
import { jsonPage, textPage } from '../../src/http/pages.ts';
import type { PageContent } from '../../src/http/pages.ts';
import { quoted } from '../../src/core/core.ts';
import { readJson } from '../../src/json/json.ts';
import type { MethodDescription } from '../../src/rpc/rpc.ts';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { freePorts, startRelay } from '../support/relays.ts';
import type { Dict } from '../../src/values/values.ts';
import { exchange, request, requestBytes } from './raw.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const HOSTILE = `"'\`<script>alert(1)</script></style></pre>&amp;\u202e\u2066\u2028\n\u0085\u009b31m\u001b[31m$(touch x)\\`;
const UNSAFE = /[^\P{Cc}\t\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

test('content negotiation considers weights, then specificity, then order; plain text is the default', (t) => {
  const cases: readonly (readonly [accept: string | undefined, form: PageForm])[] = [
    [undefined, 'text'],
    ['', 'text'],
    ['*/*', 'text'],
    ['text/*', 'text'],
    ['image/png', 'text'],
    [BROWSER, 'html'],
    ['text/html', 'html'],
    ['TEXT/HTML;charset=utf-8', 'html'],
    ['text/plain, text/html', 'text'],
    ['text/html, text/plain', 'html'],
    ['text/html;q=0.5, text/plain', 'text'],
    ['text/html; q=0, */*', 'text'],
    ['text/plain;q=0, text/*;q=0.4, application/json;q=0.3', 'html'],
    ['text/plain;q=0, */*', 'html'],
    ['application/json', 'json'],
    ['application/*', 'json'],
    ['application/json, text/plain, */*', 'json'],
    ['application/json;q=0.8, */*;q=0.1', 'json'],
    ['application/json;q=0', 'text'],
    ['application/json;q=2, text/html;q=0.1', 'html'],
    ['application/jsonp', 'text'],
    ['x/application/json', 'text'],
    [`${'a/b,'.repeat(100)}application/json`, 'text'],
  ];
  for (const [accept, form] of cases) t.is(wantedForm(accept), form, accept?.slice(0, 80));
});

test('a browser gets HTML that runs only its own script, loads nothing else and has an anchor per method; Vary lists Accept', async (t) => {
  const { url, hostId } = await startRelay(t);
  for (const path of ['/', '/RPC2']) {
    for (const method of ['GET', 'HEAD']) {
      const [answer] = await exchange(url, requestBytes(url, { method, path, headers: { accept: BROWSER } }));
      t.like(answer, { status: 200 });
      t.like(answer?.headers, {
        'content-type': 'text/html; charset=utf-8',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        vary: 'Accept',
      });
      t.regex(
        answer!.headers['content-security-policy']!,
        /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; script-src 'sha256-[\w+/]{43}='; connect-src 'self'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'$/,
      );
      t.is(answer!.body.length === 0, method === 'HEAD');
    }
    const page = (await request(url, { method: 'GET', path, headers: { accept: BROWSER } })).body.toString();
    for (const part of [hostId, 'id="test.recorder.emit"', 'Sends a dict to the network.', 'id="ping"', '0 remote satellites'])
      t.true(page.includes(part), part);
    // The style and the script are those whose hashes are in the headers; besides them there is markup only.
    const [, style = ''] = /<style>([^<]*)<\/style>/.exec(page) ?? [];
    const [, script = ''] = /<script>([^]*)<\/script>/.exec(page) ?? [];
    for (const text of [style, script])
      t.true(HTML_HEADERS['content-security-policy']!.includes(createHash('sha256').update(text).digest('base64')));
    const markup = page.replace(style, '').replace(script, '');
    t.is(markup.match(/<script/g)!.length, 1);
    t.notRegex(markup, /<img|<link (?!rel="icon" href="data:)|<iframe|<base|src=|\son\w+=|javascript:/i);
    for (const accept of ['text/plain', 'application/json'])
      t.like((await request(url, { method: 'GET', path, headers: { accept } })).headers, {
        vary: 'Accept',
        'x-content-type-options': 'nosniff',
      });
  }
});

test('?method= shows a single method in each format; an unknown method is reported with a suggestion', async (t) => {
  const { url } = await startRelay(t);
  for (const accept of ['text/plain', BROWSER, 'application/json']) {
    const { status, body } = await request(url, { method: 'GET', path: '/RPC2?method=test.recorder.emit', headers: { accept } });
    t.is(status, 200);
    t.true(body.includes('Sends a dict to the network.') && body.includes('curl -H'), accept);
    t.false(body.includes('host_id') || body.includes('system.getCapabilities'), accept);
    const none = await request(url, { method: 'GET', path: '/RPC2?method=test.recorder.emitt', headers: { accept } });
    t.is(none.status, 404);
    t.is(none.body.toString(), `no method is named 'test.recorder.emitt'; did you mean "test.recorder.emit"?\n`);
    const hostile = await request(url, { method: 'GET', path: `/?method=${encodeURIComponent(HOSTILE)}`, headers: { accept } });
    t.is(hostile.status, 404);
    t.is(hostile.headers['content-type'], 'text/plain; charset=utf-8');
    t.notRegex(hostile.body.toString(), UNSAFE);
  }
  t.is((await request(url, { method: 'GET', path: '/?method=ping&method=test' })).status, 400);
  t.is((await request(url, { method: 'GET', path: '/?method=' })).status, 404);
});

test('callers without the right to read methods see none, in any format', async (t) => {
  const local = { classes: ['read' as const], methods: ['system.get_properties'] };
  const { url } = await startRelay(t, { access: { local } });
  for (const accept of ['text/plain', BROWSER, 'application/json']) {
    const page = await request(url, { method: 'GET', headers: { accept } });
    t.is(page.status, 200);
    t.true(page.body.includes('host_id'));
    t.false(page.body.includes('Sends a dict') || page.body.includes('remote satellites'), accept);
    const one = await request(url, { method: 'GET', path: '/?method=test.recorder.emit', headers: { accept } });
    t.is(one.status, 403);
    t.false(one.body.includes('Sends'));
  }
});

/** What stands between the tags of `html`, with what a browser would take for tags left out. */
function tagsOf(page: string): readonly string[] {
  // The script is constant, and compares with "<".
  const html = page.replace(/<script>[^]*<\/script>/, '');
  return [...html.matchAll(/<\/?([a-z][a-z0-9]*|!doctype)/gi)].map((match) => match[1]!.toLowerCase());
}

const TAGS = new Set(
  (
    '!doctype html head meta title link style body header main footer h1 h2 h3 h4 p a section pre details summary table tr th td ' +
    'div span dl dt dd code wbr form label input textarea button output'
  ).split(' '),
);

function contentOf(text: string): PageContent {
  const about = { help: text, usage: text, access: text, signatures: [['int', text]], paramNames: [text] };
  // The first has a name that cannot be called, and so no form; the second has one.
  const methods: readonly MethodDescription[] = [
    { name: `${text}!`, ...about },
    { name: 'ham.spam.add', ...about, plugin: text },
  ];
  const overview = {
    isReady: true,
    peers: [{ name: text, state: 'up', session: text, node: text }],
    plugins: [{ name: text, kind: text, state: text, isOlder: true }],
  } as const;
  const plugins = [{ name: text, reason: text, restarts: 1, waiting: 1, last_error: text, reload_error: text }];
  const node = { node: text, nick: text, state: text, version: text, load: 1, methods: 1, work: [text], rtt: 1, waiting: 1 };
  const nodes = [1, 2].map((links) => ({ ...node, way: { hop: text, cost: 1, links } }));
  return { properties: { [text]: text }, methods, satellites: [{ nick: text, addr: [text, 1] }] as never, overview, plugins, nodes };
}

test('names, help and records are escaped in every format', (t) => {
  const hostile = fc.oneof(
    fc.constantFrom(HOSTILE, '</title><b>', '" onclick="x', "' x='", '\u2029', '\ud800'),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }),
  );
  const harmless = contentOf('x!');
  const count = (page: string): number => page.split('"').length;
  const place = { origin: `http://"'<b>`, showsCalls: true };
  fc.assert(
    fc.property(hostile, (text) => {
      const content = contentOf(text);
      const pairs = [
        [htmlPage(content, place), htmlPage(harmless, place)],
        ...content.methods!.map((method, index) => [htmlMethod(method, place), htmlMethod(harmless.methods![index]!, place)] as const),
      ] as const;
      for (const [html, harmlessHtml] of pairs) {
        for (const tag of tagsOf(html)) if (!TAGS.has(tag)) throw new Error(`<${tag}>`);
        if (UNSAFE.test(html)) throw new Error(html);
        // Quotes stand where the page has its own: as many as on a page without the text.
        if (count(html) !== count(harmlessHtml)) throw new Error(`quotes: ${html}`);
      }
      if (UNSAFE.test(textPage(content, place))) throw new Error('text');
      const json = jsonPage(content, place);
      if (UNSAFE.test(json)) throw new Error('json');
      t.is((JSON.parse(json) as { methods: { name: string }[] }).methods[0]!.name, `${text}!`);
    }),
    { numRuns: 500 },
  );
});

test('the nodes of the mesh are shown to those who may list them, and what waits only to admins; a relay alone shows none', async (t) => {
  const ports = await freePorts(2);
  const url = (index: number): string => `http://127.0.0.1:${ports[index]!}`;
  const near = await startRelay(t, { port: ports[0]!, peers: [url(1)], nick: '<b>near' });
  const pageOf = async (headers: Readonly<Record<string, string>> = {}): Promise<string> => {
    const { body } = await request(url(0), { method: 'GET', path: '/?part=state', headers: { accept: BROWSER, ...headers } });
    return body.toString();
  };
  const admin = { authorization: `Bearer ${near.adminToken}` };
  t.true((await pageOf(admin)).includes('<div class="group"></div>'));
  t.false((await pageOf(admin)).includes('<h3>Nodes'));

  const joined = near.events.next(({ type }) => type === 'node.up');
  const far = await startRelay(t, { port: ports[1]!, peers: [url(0)], nick: 'far' });
  await joined;
  const nodes = (await near.call('relay.get_nodes')) as readonly Dict[];
  const shown = await pageOf(admin);
  const row = (nick: string, state: string, rest: string): RegExp =>
    new RegExp(
      `<td>${nick}</td><td><span title="[a-z2-7]{32}">[a-z2-7]{8}…</span></td><td><span class="state good">${state}</span></td>${rest}`,
    );
  t.is(nodes.length, 2);
  t.regex(shown, /<h3>Nodes<\/h3>/);
  t.regex(shown, row('&lt;b&gt;near', 'self', '<td></td><td></td>'));
  t.regex(shown, row('far', 'reachable', String.raw`<td>a link, \d+ ms</td><td>(?:\d+\.\d ms)?</td><td>\d methods?</td><td>\d+</td>`));
  const anonymous = await pageOf();
  t.true(anonymous.includes('<h3>Nodes') && !anonymous.includes('Messages waiting'));
  const json = await request(url(0), { method: 'GET', headers: { accept: 'application/json', ...admin } });
  t.like((JSON.parse(json.body.toString()) as { nodes: object[] }).nodes[1], { nick: 'far', state: 'reachable' });

  const down = near.events.next(({ type }) => type === 'node.down');
  await far.stop();
  await down;
  t.regex(await pageOf(admin), /<td>far<\/td>.*<span class="state">left<\/span>/);
});

test('a caller who may not list nodes does not see them', async (t) => {
  const { url } = await startRelay(t, { access: { local: ['read'] } });
  const json = await request(url, { method: 'GET', headers: { accept: 'application/json' } });
  t.false('nodes' in (JSON.parse(json.body.toString()) as object));
});

test('a page lists at most 100 nodes, and says how many there are', (t) => {
  const { nodes } = contentOf('x');
  const page = htmlPage({ nodes: Array.from({ length: 120 }, () => nodes![0]!) }, { origin: 'http://x', showsCalls: false });
  t.true(page.includes('Nodes: the first 100 of 120'));
  t.is(page.match(/<tr>/g)!.length, 101);
});

const SIGNATURES: readonly (readonly string[])[] = [
  ['int'],
  ['int', 'int', 'i4', 'i8'],
  ['any', 'string', 'boolean', 'double'],
  ['array', 'array', 'struct', 'base64', 'dateTime.iso8601'],
  ['any', 'nil', 'any', HOSTILE],
];

test('a copied curl line posts a call of the method with a value of each type, for any URL', async (t) => {
  for (const origin of ['http://127.0.0.1:2004', 'http://[::1]:2004', `http://h/'"$(touch x)\`;\\&`]) {
    for (const signature of SIGNATURES) {
      const { curl, json, co2 } = callExamples({ name: 'ham.spam.add', signatures: [signature] }, origin)!;
      // The shell's own reading of the lines.
      const shell = async (line: string): Promise<readonly string[]> => {
        const program = `curl() { printf '%s\\0' "$@"; }; co2() { printf '%s\\0' "$@"; }; ${line}`;
        return (await promisify(execFile)('sh', ['-c', program])).stdout.split('\0').slice(0, -1);
      };
      const [flag, header, data, body, target, ...more] = await shell(curl);
      t.deepEqual([flag, header, data, target, more], ['-H', 'Content-Type: text/xml', '-d', `${origin}/RPC2`, []]);
      const call = parseCall(Buffer.from(body!));
      t.is(call.methodName, 'ham.spam.add');
      t.is(call.params.length, signature.length - 1);
      const [, type, , params, endpoint] = await shell(json);
      t.deepEqual([type, endpoint], ['Content-Type: application/json', `${origin}/api/ham.spam.add`]);
      t.deepEqual(readJson(Buffer.from(params!)).value, call.params);
      const [command, flagUrl, url, name, ...args] = await shell(co2);
      t.deepEqual([command, flagUrl, url, name, args.length], ['call', '--url', origin, 'ham.spam.add', call.params.length]);
    }
  }
});

test('a name that cannot be called remotely has no examples; a Python keyword has a working example', (t) => {
  for (const name of [HOSTILE, '', 'a b', "a'b", 'a"', 'é']) t.is(callExamples({ name, signatures: undefined }, 'http://h'), undefined);
  const line = (name: string): string => callExamples({ name, signatures: undefined }, 'http://h')!.python;
  t.is(line('a.b'), `import xmlrpc.client; print(xmlrpc.client.ServerProxy('http://h/RPC2').a.b())`);
  for (const name of ['a.import', 'a/b', 'a..b', '_a', '1']) t.true(line(name).includes(`getattr(`), name);
});

test('a quoted text is a single JavaScript literal with the same value', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(HOSTILE, '\ud800', '\\', "\\'", '\u2028')), (text) => {
      const literal = quoted(text);
      if (UNSAFE.test(literal) || !/^'(?:[^'\\]|\\.)*'$/.test(literal)) throw new Error(literal);
      // JSON knows the same escapes, but for the quote.
      const json = `"${literal
        .slice(1, -1)
        .replace(/\\'/g, "'")
        .replace(/(?<!\\)((?:\\\\)*)"/g, '$1\\"')}"`;
      if (JSON.parse(json) !== text) throw new Error(literal);
    }),
  );
  t.pass();
});

test('the page of a relay with many methods has no forms; each method has a separate page with its form', (t) => {
  const place = { origin: 'http://127.0.0.1:2004', showsCalls: true };
  const methods = Array.from({ length: 301 }, (_, index): MethodDescription => {
    const name = `ham.spam.m${index}`;
    return { name, help: '', usage: name, access: 'call', signatures: [['int']], paramNames: [], plugin: 'ham.spam' };
  });
  const formsIn = (page: string): number => page.split('class="call"').length - 1;
  t.is(formsIn(htmlPage({ methods: methods.slice(1) }, place)), 300);
  const page = htmlPage({ methods }, place);
  t.is(formsIn(page), 0);
  t.true(page.includes('<a href="?method=ham.spam.m300">Call it</a>'));
  t.is(formsIn(htmlMethod(methods[0]!, place)), 1);
  const named = htmlMethod({ ...methods[0]!, signatures: [['int', 'string', 'double']], paramNames: ['nick'] }, place);
  t.true(named.includes('<span class="muted">nick: string</span>') && named.includes('<span class="muted">2. double</span>'));
});
