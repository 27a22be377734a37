/**
 * `co2 methods, help, ping, status` against servers that are no relays: each question is asked in the ways that there are, and the answer
 * says which one it was.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { readDocumentation } from '../../src/cli/introspection.ts';
import { serverOf } from '../support/answering-server.ts';
import type { Answers } from '../support/answering-server.ts';
import { runCo2 } from '../support/processes.ts';

interface Said {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

async function co2(t: ExecutionContext, url: string, ...args: string[]): Promise<Said> {
  const { code, stdout, stderr } = await runCo2(t, { args: [...args, '--url', url] }).exit;
  return { code, out: stdout.join('\n'), err: stderr.join('\n') };
}

const NAMES: Answers = { 'system.listMethods': () => ['system.listMethods', 'd.name', 'load.start'] };
// As rTorrent has it.
const notDefined = (method: string): readonly [number, string] => [-506, `Method '${method}' not defined`];

test.serial('a server with system.listMethods only and its own fault codes', async (t) => {
  const { url, asked } = await serverOf(t, NAMES, notDefined);
  t.deepEqual(await co2(t, url, 'methods'), { code: 0, out: 'system.listMethods\nd.name\nload.start', err: '' });
  const host = new URL(url).host.replaceAll('.', String.raw`\.`);
  const ping = await co2(t, url, 'ping');
  t.regex(ping.out, new RegExp(String.raw`^${host} answered system\.listMethods in \d+(\.\d)? ms; it has no ping$`));
  t.like(JSON.parse((await co2(t, url, 'ping', '--json')).out), { answered: 'system.listMethods', url: new URL(url).host });
  const status = await co2(t, url, 'status');
  t.regex(status.out, new RegExp(String.raw`^${host} has no relay\.get_status; result of system\.listMethods:\nmethods +3$`));
  t.is(status.code, 0);
  t.deepEqual(JSON.parse((await co2(t, url, 'status', '--json')).out), { answered: 'system.listMethods', value: { methods: 3 } });
  const help = await co2(t, url, 'help', 'd.name');
  t.deepEqual(help, { code: 0, out: 'd.name(...)\n\nthe server provides no documentation for d.name', err: '' });
  t.deepEqual(JSON.parse((await co2(t, url, 'help', 'd.name', '--json')).out), { method: 'd.name', usage: 'd.name(...)', help: '' });
  const none = await co2(t, url, 'help', 'd.nome');
  t.deepEqual(none, { code: 1, out: '', err: "co2: the server has no method 'd.nome'; list its methods with co2 methods" });
  t.true(asked.includes('co2.get_method_help'));
});

test.serial('a server with the co2 introspection methods only', async (t) => {
  const { url } = await serverOf(t, {
    'co2.get_method_names': () => ['co2.get_method_names', 'add', 'system.get_properties'],
    'co2.get_method_help': () => 'Adds.',
    'co2.get_method_signature': () => 'int add(int, int)',
    'system.get_properties': () => ({ maintainer: 'ann' }),
  });
  t.is((await co2(t, url, 'methods')).out, 'co2.get_method_names\nadd\nsystem.get_properties');
  t.is((await co2(t, url, 'help', 'add')).out, 'int add(int, int)\n\nAdds.');
  t.regex((await co2(t, url, 'ping')).out, / answered co2\.get_method_names in \d+(\.\d)? ms; it has no ping$/);
  t.regex((await co2(t, url, 'status')).out, / result of system\.get_properties:\nmaintainer {2}ann$/);
  const gen = await co2(t, url, 'gen', 'client', '--out', '-');
  t.true(gen.out.includes('  /** Adds. */\n  readonly add: (...params: readonly Sendable[]) => Promise<Value>;'), gen.err + gen.out);
});

test.serial('a server without introspection answers ping with a fault, and other commands fail with its first fault', async (t) => {
  const { url } = await serverOf(t, {}, notDefined);
  const ping = await co2(t, url, 'ping');
  t.regex(ping.out, / answered fault -506 in \d+(\.\d)? ms: Method 'ping' not defined$/);
  t.is(ping.code, 0);
  t.like(JSON.parse((await co2(t, url, 'ping', '--json')).out), { answered: 'ping', fault: { code: -506 } });
  t.like(await co2(t, url, 'methods'), { code: 1, out: '', err: "co2: fault -506: Method 'system.listMethods' not defined" });
  t.like(await co2(t, url, 'status'), { code: 1, out: '', err: "co2: fault -506: Method 'relay.get_status' not defined" });
  t.like(await co2(t, url, 'help', 'x'), { code: 1, out: '', err: "co2: fault -506: Method 'system.methodHelp' not defined" });
});

test.serial('a fault code that is a string is printed', async (t) => {
  const fault =
    '<?xml version="1.0"?><methodResponse><fault><value><struct><member><name>faultCode</name><value>Client</value></member>' +
    '<member><name>faultString</name><value>not here</value></member></struct></value></fault></methodResponse>';
  const server = createServer((request, response) => {
    request.resume().on('end', () => response.writeHead(200, { 'Content-Type': 'text/xml' }).end(fault));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  t.like(await co2(t, url, 'call', 'x'), { code: 1, out: '', err: 'co2: fault Client: not here' });
  t.regex((await co2(t, url, 'ping')).out, / answered fault Client in \d+(\.\d)? ms: not here$/);
});

test.serial('a fault for missing rights is final', async (t) => {
  const { url, asked } = await serverOf(t, {}, () => [403, 'not you']);
  for (const args of [['methods'], ['help', 'x'], ['ping'], ['status']]) {
    const { code, out, err } = await co2(t, url, ...args);
    t.deepEqual([code, out], [1, '']);
    t.regex(err, /^co2: fault 403: not you/);
  }
  t.is(asked.length, 4);
});

const DOCSTRING = ` Start a process

        It may take a while,
            and waits.

        @param string name Process name (or \`\`group:name\`\`)
        @param boolean wait Wait for process
            to be fully started
        @return boolean result     Always true unless error

        `;

test.serial('a flat signature and a docstring are printed as usage, documentation and parameters', async (t) => {
  const { url } = await serverOf(t, {
    'system.listMethods': () => ['p.start', 'p.all', 'p.new'],
    'system.methodHelp': (name) => (name === 'p.start' ? DOCSTRING : name === 'p.new' ? '@param string new A word of TypeScript' : ''),
    'system.methodSignature': (name) =>
      name === 'p.start' ? ['boolean', 'string', 'boolean'] : name === 'p.new' ? ['int', 'string'] : ['array'],
  });
  t.deepEqual((await co2(t, url, 'help', 'p.start')).out.split('\n'), [
    'boolean p.start(name: string, wait: boolean)',
    '',
    'Start a process',
    '',
    'It may take a while,',
    '    and waits.',
    '',
    '  name     Process name (or ``group:name``)',
    '  wait     Wait for process to be fully started',
    '  returns  Always true unless error',
  ]);
  t.is((await co2(t, url, 'help', 'p.all')).out, 'array p.all()');
  t.deepEqual(JSON.parse((await co2(t, url, 'help', 'p.start', '--json')).out), {
    ...{ method: 'p.start', usage: 'boolean p.start(name: string, wait: boolean)', help: DOCSTRING },
  });
  const source = (await co2(t, url, 'gen', 'client', '--out', '-')).out;
  t.true(source.includes('    readonly all: () => Promise<readonly Value[]>;\n'), source);
  t.true(source.includes('    /** @param new - A word of TypeScript */\n    readonly new: (p1: string) => Promise<number>;\n'), source);
  t.true(
    source.includes(`    /**
     * Start a process
     *
     * It may take a while,
     *     and waits.
     *
     * @param name - Process name (or \`\`group:name\`\`)
     * @param wait - Wait for process to be fully started
     * @returns Always true unless error
     */
    readonly start: (name: string, wait: boolean) => Promise<boolean>;
`),
    source,
  );
});

const DOCUMENTATION: readonly (readonly [help: string, is: object])[] = [
  ['', { text: '', params: [], returns: '' }],
  ['Adds two integers.', { text: 'Adds two integers.', params: [], returns: '' }],
  ['One.\n\n\n\n\nTwo.\n', { text: 'One.\n\nTwo.' }],
  ['\n\tTabs\n\t\tinside\n', { text: 'Tabs\n    inside' }],
  ['First\r\n  second\r\n  third', { text: 'First\nsecond\nthird' }],
  ['mail ann@example.org, @home', { text: 'mail ann@example.org, @home', params: [] }],
  ['@param name the name', { text: '', params: [{ name: 'name', text: 'the name' }] }],
  ['@param string', { params: [{ name: 'string', text: '' }] }],
  ['@param int n', { params: [{ name: 'n', text: '' }] }],
  ['@param', { params: [] }],
  ['@parameter x', { text: '@parameter x', params: [] }],
  ['@return', { returns: '' }],
  ['@return string version id', { returns: 'version id' }],
  ['@return struct A struct with keys', { returns: 'A struct with keys' }],
  ['@return boolean result always returns True', { returns: 'always returns True' }],
  ['@return array       [string bytes, int offset]', { returns: '[string bytes, int offset]' }],
  ['@returns the sum', { returns: 'the sum' }],
  ['@param int a one\n\nMore text.', { text: 'More text.', params: [{ name: 'a', text: 'one' }] }],
];

for (const [help, is] of DOCUMENTATION) {
  test(`documentation ${JSON.stringify(help)}`, (t) => {
    t.like(readDocumentation(help), is);
  });
}
