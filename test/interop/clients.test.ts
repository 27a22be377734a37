/**
 * Clients in five languages against a real relay: each sends nested structs, arrays, base64, dates, booleans, Unicode and doubles, uses
 * introspection, and gets faults.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';

const PLUGINS = fileURLToPath(new URL('../fixtures/interop/', import.meta.url));
const CALLING = join(PROJECT_DIR, 'docs/calling.md');
const source = (name: string): string => fileURLToPath(new URL(`clients/${name}`, import.meta.url));

/** What interop.echo.shape must return for the value that each client sends. */
const SHAPE =
  '{"bytes": bytes 00010a0dfeff, "doubles": [0.1, -2.5, 1048576.125], "flags": [true, false], "ints": [0, -1, 2147483647, -2147483648], ' +
  '"nested": {"inner": {"deep": [1, [2, [3, []]], {}]}, "list": [{"a": "b"}, {"a": "c"}]}, ' +
  `"text": ${JSON.stringify(`hé 漢 <&> ]]> "q" '\n\t`)}, "when": date 2024-02-03T04:05:06.000Z}`;

/** The compiled C client. */
async function compiled(t: ExecutionContext): Promise<string> {
  const program = join(temporaryDir(t), 'echo');
  const libraries = ['-lxmlrpc_client', '-lxmlrpc', '-lxmlrpc_util'];
  const { code, stderr } = await run(t, 'cc', ['-Wall', '-Werror', '-o', program, source('echo.c'), ...libraries]).exit;
  t.is(code, 0, stderr.join('\n'));
  return program;
}

type Client = readonly [language: string, command: (t: ExecutionContext) => Promise<readonly [string, ...string[]]>];

const CLIENTS: readonly Client[] = [
  ["Python's xmlrpc.client", async () => ['python3', source('echo.py')]],
  ["Perl's RPC::XML", async () => ['perl', source('echo.pl')]],
  ["Ruby's xmlrpc", async () => ['ruby', source('echo.rb')]],
  ['the C client of xmlrpc-c', async (t) => [await compiled(t)]],
];

for (const [language, command] of CLIENTS) {
  test.serial(`${language}: introspection, values, faults`, async (t) => {
    const [program, ...args] = await command(t);
    const relay = await startCo2(t, { args: ['--plugins', PLUGINS] });
    const { code, stdout, stderr } = await run(t, program, [...args, relay.url, SHAPE]).exit;
    t.is(code, 0, stderr.join('\n'));
    t.deepEqual(stdout, ['introspection ok', 'values ok', 'faults ok']);
  });
}

test.serial("Python's allow_none client: nil where the URL or a header says so, else a fault that says how", async (t) => {
  const relay = await startCo2(t, { args: ['--plugins', PLUGINS] });
  const { code, stdout, stderr } = await run(t, 'python3', [source('none.py'), relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['fault ok', 'nil ok']);
  // The command line in docs/calling.md.
  const [line = ''] = /xmlrpc\.client\.ServerProxy\('http:\/\/127\.0\.0\.1:2004\/\?nil=1'.*$/m.exec(readFileSync(CALLING, 'utf8')) ?? [];
  const program = `import xmlrpc.client; print(${line.replace('127.0.0.1:2004', `127.0.0.1:${relay.port}`)}.interop.echo.gap())`;
  t.deepEqual((await run(t, 'python3', ['-c', program]).exit).stdout, ["{'name': 'ann', 'since': None}"]);
  t.deepEqual(
    relay.stderr.all.filter((line) => / ERROR |^\s+at /.test(line)),
    [],
  );
});

test.serial('the C++ client of xmlrpc-c: integers of 64 bits come back as such', async (t) => {
  const program = join(temporaryDir(t), 'long');
  const libraries = ['-lxmlrpc_client++', '-lxmlrpc++', '-lxmlrpc_client', '-lxmlrpc', '-lxmlrpc_util'];
  const compiler = await run(t, 'c++', ['-std=c++11', '-Wall', '-o', program, source('long.cpp'), ...libraries]).exit;
  t.is(compiler.code, 0, compiler.stderr.join('\n'));
  const relay = await startCo2(t, { args: ['--plugins', PLUGINS] });
  const { code, stdout, stderr } = await run(t, program, [relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['integers of 64 bits ok']);
});

test.serial("Go's mattn/go-xmlrpc: booleans in words", async (t) => {
  const directory = temporaryDir(t);
  const program = join(directory, 'words');
  // Debian's library packages only; nothing is downloaded.
  const env = { GOPATH: '/usr/share/gocode', GO111MODULE: 'off', GOFLAGS: '', GOCACHE: join(directory, 'cache') };
  const compiler = await run(t, 'go', ['build', '-o', program, source('words.go')], { env }).exit;
  t.is(compiler.code, 0, compiler.stderr.join('\n'));
  const relay = await startCo2(t, { args: ['--plugins', PLUGINS] });
  const { code, stdout, stderr } = await run(t, program, [relay.url]).exit;
  t.is(code, 0, stderr.join('\n'));
  t.deepEqual(stdout, ['booleans in words ok']);
});

const XML = '<?xml version="1.0" encoding="UTF-8"?>';
const answerOf = (inner: string): string =>
  `${XML}<methodResponse><params><param><value>${inner}</value></param></params></methodResponse>`;
const callOf = (method: string, ...inner: readonly string[]): string =>
  `<methodCall><methodName>${method}</methodName><params>${inner.map((xml) => `<param><value>${xml}</value></param>`).join('')}</params></methodCall>`;

// The request that curl sends, and the expected response, byte by byte.
const BY_HAND: readonly (readonly [what: string, call: string, answer: string])[] = [
  ['a whole double', callOf('interop.echo.double', '<double>1.0</double>'), answerOf('<double>1.0</double>')],
  [
    'a date with an offset',
    callOf('interop.echo.any', '<dateTime.iso8601>2024-02-03T04:05:06+05:30</dateTime.iso8601>'),
    answerOf('<dateTime.iso8601>20240202T22:35:06</dateTime.iso8601>'),
  ],
  ['base64 in lines', callOf('interop.echo.any', '<base64>\nAQ\r\nID </base64>'), answerOf('<base64>AQID</base64>')],
  [
    'untyped, CDATA, references',
    callOf('interop.echo.any', '<![CDATA[<é>]]>&#13;&#x1F40D;'),
    answerOf('<string>&lt;é&gt;&#13;🐍</string>'),
  ],
  [
    'nil to whom used it',
    callOf('interop.echo.any', '<array><data><value><nil/></value></data></array>'),
    answerOf('<array><data><value><nil/></value></data></array>'),
  ],
  ['i8 within 2^53 to whom used it', callOf('interop.echo.any', '<i8>1099511627776</i8>'), answerOf('<i8>1099511627776</i8>')],
  [
    "a date of Java's aXMLRPC",
    callOf('interop.echo.any', '<dateTime.iso8601>19980717T140855</dateTime.iso8601>'),
    answerOf('<dateTime.iso8601>19980717T14:08:55</dateTime.iso8601>'),
  ],
  [
    'a call formatted by a pretty-printer',
    `<methodCall>\n  <methodName>interop.echo.any</methodName>\n  <params>\n    <param>\n      <value>\n        <array>\n          <data>\n` +
      ['<int>\n 5\n</int>', '<double>\n 1.5\n</double>', '<boolean>\n true\n</boolean>', '<array/>']
        .map((xml) => `<value>\n${xml}\n</value>\n`)
        .join('') +
      '</data>\n</array>\n</value>\n</param>\n</params>\n</methodCall>\n',
    answerOf(
      '<array><data><value><int>5</int></value><value><double>1.5</double></value><value><boolean>1</boolean></value><value><array><data></data></array></value></data></array>',
    ),
  ],
  ['i8 to whom used it', callOf('interop.echo.any', '<i8>9007199254740993</i8>'), answerOf('<i8>9007199254740993</i8>')],
  [
    'struct in struct',
    callOf('interop.echo.any', '<struct><member><name>__proto__</name><value><struct/></value></member></struct>'),
    answerOf('<struct><member><name>__proto__</name><value><struct></struct></value></member></struct>'),
  ],
  [
    'a fault',
    callOf('interop.echo.fail', '<int>42</int>', '<string>no &lt;such&gt; room</string>'),
    `${XML}<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>42</int></value></member><member><name>faultString</name>` +
      '<value><string>no &lt;such&gt; room</string></value></member></struct></value></fault></methodResponse>',
  ],
  [
    'a signature',
    callOf('system.methodSignature', 'interop.echo.double'),
    answerOf(
      `<array><data><value><array><data>${'<value><string>double</string></value>'.repeat(2)}</data></array></value></data></array>`,
    ),
  ],
];

test.serial('curl: documents by hand, answers to the byte', async (t) => {
  const relay = await startCo2(t, { args: ['--plugins', PLUGINS] });
  for (const [what, call, answer] of BY_HAND) {
    const args = [
      '--silent',
      '--show-error',
      '--max-time',
      '20',
      '--header',
      'Content-Type: text/xml',
      '--data-binary',
      '@-',
      `${relay.url}/RPC2`,
    ];
    const { code, stdout, stderr } = await run(t, 'curl', args, { input: call }).exit;
    t.is(code, 0, stderr.join('\n'));
    t.is(stdout.join('\n'), answer, what);
  }
});
