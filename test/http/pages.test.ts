/** The page of a GET: its forms, one method alone, strict headers for browsers, and example lines that work. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import test from 'ava';
import fc from 'fast-check';
import { wantedForm } from '../../src/http/page-endpoint.ts';
import type { PageForm } from '../../src/http/page-endpoint.ts';
import { callExamples } from '../../src/http/call-examples.ts';
import { htmlMethod, htmlPage, jsonPage, textPage } from '../../src/http/pages.ts';
import type { PageContent } from '../../src/http/pages.ts';
import { quoted } from '../../src/core/core.ts';
import type { MethodDescription } from '../../src/rpc/rpc.ts';
import { parseCall } from '../../src/xmlrpc/xmlrpc.ts';
import { startRelay } from '../support/relays.ts';
import { exchange, request, requestBytes } from './raw.ts';

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8';
const HOSTILE = `"'\`<script>alert(1)</script></style></pre>&amp;\u202e\u2066\u2028\n\u0085\u009b31m\u001b[31m$(touch x)\\`;
const UNSAFE = /[^\P{Cc}\t\n]|[\p{Zl}\p{Zp}\p{Bidi_Control}]/u;

test('the form that is wanted: weights, then exactness, then order; text for whoever does not care', (t) => {
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

test('a browser gets HTML that loads and runs nothing, with an anchor for each method; the form varies with Accept', async (t) => {
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
        /^default-src 'none'; style-src 'sha256-[\w+/]{43}='; frame-ancestors 'none'; base-uri 'none'; form-action 'none'$/,
      );
      t.is(answer!.body.length === 0, method === 'HEAD');
    }
    const page = (await request(url, { method: 'GET', path, headers: { accept: BROWSER } })).body.toString();
    for (const part of [hostId, '<section id="test.recorder.emit">', 'Sends a dict to the network.', 'href="#ping"', '0 remote satellites'])
      t.true(page.includes(part), part);
    t.notRegex(page, /<script|<img|<link|<iframe|src=|\son\w+=/i);
    for (const accept of ['text/plain', 'application/json'])
      t.like((await request(url, { method: 'GET', path, headers: { accept } })).headers, {
        vary: 'Accept',
        'x-content-type-options': 'nosniff',
      });
  }
});

test('?method= shows one alone in each form; one that is not there is named with what was meant', async (t) => {
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

test('who may not read the methods is shown none, in any form', async (t) => {
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
function tagsOf(html: string): readonly string[] {
  return [...html.matchAll(/<\/?([a-z][a-z0-9]*|!doctype)/gi)].map((match) => match[1]!.toLowerCase());
}

const TAGS = new Set(
  '!doctype html head meta title style body h1 h2 h3 h4 p a ul li section pre details summary table tr th td'.split(' '),
);

function contentOf(text: string): PageContent {
  const method: MethodDescription = { name: text, help: text, usage: text, access: text, signatures: [['int', text]] };
  return { properties: { [text]: text }, methods: [method], satellites: [{ nick: text, addr: [text, 1] }] as never };
}

test('whatever stands in names, help and records is text, in every form', (t) => {
  const hostile = fc.oneof(
    fc.constantFrom(HOSTILE, '</title><b>', '" onclick="x', "' x='", '\u2029', '\ud800'),
    fc.string({ unit: 'binary', maxLength: 40 }),
  );
  const harmless = contentOf('x!');
  const count = (page: string): number => page.split('"').length;
  const place = { origin: `http://"'<script>`, showsCalls: true };
  fc.assert(
    fc.property(hostile, (text) => {
      const content = contentOf(text);
      const [method] = content.methods!;
      for (const [html, isPage] of [
        [htmlPage(content, place), true],
        [htmlMethod(method!, place), false],
      ] as const) {
        for (const tag of tagsOf(html)) if (!TAGS.has(tag)) throw new Error(`<${tag}>`);
        if (UNSAFE.test(html)) throw new Error(html);
        // Quotes stand where the page has its own: as many as on a page without the text.
        if (count(html) !== count(isPage ? htmlPage(harmless, place) : htmlMethod(harmless.methods![0]!, place)))
          throw new Error(`quotes: ${html}`);
      }
      if (UNSAFE.test(textPage(content, place))) throw new Error('text');
      const json = jsonPage(content, place);
      if (UNSAFE.test(json)) throw new Error('json');
      t.is((JSON.parse(json) as { methods: { name: string }[] }).methods[0]!.name, text);
    }),
    { numRuns: 500 },
  );
});

const SIGNATURES: readonly (readonly string[])[] = [
  ['int'],
  ['int', 'int', 'i4', 'i8'],
  ['any', 'string', 'boolean', 'double'],
  ['array', 'array', 'struct', 'base64', 'dateTime.iso8601'],
  ['any', 'nil', 'any', HOSTILE],
];

test('a copied curl line posts a call of the method with a value of each type, whatever the URL', async (t) => {
  for (const url of ['http://127.0.0.1:2004/RPC2', 'http://[::1]:2004/RPC2', `http://h/'"$(touch x)\`;\\&`]) {
    for (const signature of SIGNATURES) {
      const { curl } = callExamples({ name: 'ham.spam.add', signatures: [signature] }, url)!;
      // The shell's own reading of the line.
      const { stdout } = await promisify(execFile)('sh', ['-c', `curl() { printf '%s\\0' "$@"; }; ${curl}`]);
      const [flag, header, data, body, target, ...more] = stdout.split('\0');
      t.deepEqual([flag, header, data, target, more], ['-H', 'Content-Type: text/xml', '-d', url, ['']]);
      const call = parseCall(Buffer.from(body!));
      t.is(call.methodName, 'ham.spam.add');
      t.is(call.params.length, signature.length - 1);
    }
  }
});

test('a name that cannot be called remotely has no examples, one that is a word of Python has a line that works', (t) => {
  for (const name of [HOSTILE, '', 'a b', "a'b", 'a"', 'é']) t.is(callExamples({ name, signatures: undefined }, 'http://h/'), undefined);
  const line = (name: string): string => callExamples({ name, signatures: undefined }, 'http://h/')!.python;
  t.is(line('a.b'), `import xmlrpc.client; print(xmlrpc.client.ServerProxy('http://h/').a.b())`);
  for (const name of ['a.import', 'a/b', 'a..b', '_a', '1']) t.true(line(name).includes(`getattr(`), name);
});

test('a quoted text is one literal of JavaScript that means the text', (t) => {
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
