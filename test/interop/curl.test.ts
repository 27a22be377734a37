/**
 * curl against a real relay: the commands of README and docs/calling.md as a reader pastes them, the pages, and the answers to wrong
 * requests.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';

const BUNDLED = ['--plugins', join(PROJECT_DIR, 'plugins')];

/** Runs curl silently; returns its output. */
async function curl(t: ExecutionContext, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(t, 'curl', ['--silent', '--show-error', '--max-time', '20', ...args]).exit;
  t.is(code, 0, stderr.join('\n'));
  return stdout.join('\n');
}

/** Status, headers (with lower-case names) and body. */
async function answer(t: ExecutionContext, ...args: string[]): Promise<{ status: number; headers: Map<string, string>; body: string }> {
  const text = await curl(t, '--include', ...args);
  const [head = '', ...rest] = text.split(/\r?\n\r?\n/);
  const [first = '', ...lines] = head.split(/\r?\n/);
  const headers = lines.map((line): [string, string] => {
    const colon = line.indexOf(':');
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { status: Number(first.split(' ')[1]), headers: new Map(headers), body: rest.join('\n\n') };
}

interface Paste {
  readonly command: string;
  /** The output that the page shows below the command. */
  readonly shown: string | undefined;
}

/** The curl commands of README's first five minutes, and of docs/calling.md. */
function pastes(): Paste[] {
  const readme = readFileSync(join(PROJECT_DIR, 'README.md'), 'utf8');
  const [, first = ''] = /^## The first five minutes\n([\s\S]*?)^## /m.exec(readme) ?? [];
  const section = first.replace(/^npm ci && npm start$/m, '') + readFileSync(join(PROJECT_DIR, 'docs/calling.md'), 'utf8');
  const blocks = [...section.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)];
  return blocks.flatMap(([, language, text = ''], index): Paste[] => {
    if (language !== 'sh') return [];
    const next = blocks[index + 1];
    const block = blocks[index]!;
    const isBelow = next?.[1] === 'text' && section.slice(block.index + block[0].length, next.index).trim() === '';
    const commands = text.trim() === '' ? [] : text.trimEnd().split('\n');
    return commands.map((command, at) => ({ command, shown: isBelow && at === commands.length - 1 ? next[2]!.trimEnd() : undefined }));
  });
}

/** Replaces what differs between two runs. */
function normalised(text: string): string {
  return text
    .replace(/[0-9a-f]{16}@[\d.]+:\d+/g, '<host_id>')
    .replace(/127\.0\.0\.1:\d+/g, '<address>')
    .replace(/\d{4}-?\d\d-?\d\dT[\d:.]+Z?/g, '<time>')
    .trimEnd();
}

test.serial('every curl line of README and docs/calling.md works as pasted, and answers what the page shows', async (t) => {
  const relay = await startCo2(t, { args: BUNDLED });
  const found = pastes();
  t.true(found.length >= 4, 'README has the section "## The first five minutes", and docs/calling.md has commands');
  for (const { command, shown } of found) {
    t.true(command.startsWith('curl ') && command.includes('127.0.0.1:2004'), `a line that this test does not know: ${command}`);
    const line = command.replaceAll('127.0.0.1:2004', `127.0.0.1:${relay.port}`);
    // As a reader pastes it: in a shell, with curl's own exit code.
    const { code, stdout, stderr } = await run(t, 'sh', ['-c', line.replace(/^curl /, 'curl --silent --show-error --fail --max-time 20 ')])
      .exit;
    t.is(code, 0, `${line}\n${stderr.join('\n')}`);
    const printed = stdout.join('\n');
    t.not(printed.trim(), '', line);
    t.false(printed.includes('<fault>'), `${line}\n${printed}`);
    if (shown !== undefined) t.is(normalised(printed), normalised(shown), line);
  }
  t.true(found.filter(({ shown }) => shown !== undefined).length >= 2);
});

test.serial('the notify of docs/calling.md is heard: the history, asked afterwards, has it', async (t) => {
  const relay = await startCo2(t, { args: BUNDLED });
  const outputs: string[] = [];
  for (const { command } of pastes())
    outputs.push((await run(t, 'sh', ['-c', command.replaceAll(':2004', `:${relay.port}`)]).exit).stdout.join(''));
  t.true(
    outputs.some((output) => output.includes('<string>ann: hello</string>')),
    outputs.join('\n'),
  );
});

test.serial('GET / and GET /RPC2 answer what is here, as text and as JSON', async (t) => {
  const relay = await startCo2(t, { args: BUNDLED });
  for (const path of ['/', '/RPC2']) {
    const text = await answer(t, relay.url + path);
    t.is(text.status, 200);
    t.regex(text.headers.get('content-type') ?? '', /^text\/plain; charset=utf-8/);
    for (const part of [
      relay.hostId,
      relay.version,
      'Adds two integers.',
      'int example.echo.add(a: int, b: int)',
      `curl -H 'Content-Type: text/xml'`,
    ]) {
      t.true(text.body.includes(part), `${path}: ${part}`);
    }
    const json = await answer(t, '--header', 'Accept: application/json', relay.url + path);
    t.is(json.status, 200);
    t.regex(json.headers.get('content-type') ?? '', /^application\/json/);
    const page = JSON.parse(json.body) as { properties: { host_id: string }; methods: { name: string; help: string }[] };
    t.is(page.properties.host_id, relay.hostId);
    t.is(page.methods.find(({ name }) => name === 'example.echo.add')?.help, 'Adds two integers.');
    t.true(page.methods.some(({ name }) => name === 'system.listMethods'));
  }
});

const PING = '<methodCall><methodName>ping</methodName></methodCall>';
const XML = ['--header', 'Content-Type: text/xml'];

interface Wrong {
  readonly title: string;
  readonly args: readonly string[];
  readonly path?: string;
  readonly status: number;
  /** What the answer says. */
  readonly says: RegExp;
}

const WRONG: readonly Wrong[] = [
  ...['PUT', 'DELETE', 'PATCH', 'OPTIONS'].map((verb) => ({ title: verb, args: ['--request', verb], status: 405, says: /POST/ })),
  { title: 'a form', args: ['--data', PING], status: 415, says: /Content-Type: text\/xml/ },
  { title: 'text/plain', args: ['--header', 'Content-Type: text/plain', '--data', PING], status: 415, says: /Content-Type: text\/xml/ },
  { title: 'no type', args: ['--header', 'Content-Type:', '--data', PING], status: 415, says: /no Content-Type/ },
  { title: 'a compressed body', args: [...XML, '--header', 'Content-Encoding: gzip', '--data', PING], status: 415, says: /gzip/ },
  { title: 'an unknown path', args: [...XML, '--data', PING], path: '/xmlrpc', status: 404, says: /POST \/RPC2/ },
  { title: 'a foreign Host', args: [...XML, '--header', 'Host: evil.example', '--data', PING], status: 421, says: /allowedHosts/ },
  {
    title: 'a foreign Origin',
    args: [...XML, '--header', 'Origin: http://evil.example', '--data', PING],
    status: 403,
    says: /allowedOrigins/,
  },
  { title: 'Origin: null', args: [...XML, '--header', 'Origin: null', '--data', PING], status: 403, says: /allowedOrigins/ },
  { title: 'a cross-site request', args: [...XML, '--header', 'Sec-Fetch-Site: cross-site', '--data', PING], status: 403, says: /page/ },
  { title: 'a page with a wrong token', args: ['--user', 'me:wrong'], status: 401, says: /admin\.token/ },
  { title: 'a body that is not XML', args: [...XML, '--data', 'hello'], status: 200, says: /<int>-32700<\/int>[\s\S]*line 1/ },
  { title: 'XML that is not a call', args: [...XML, '--data', '<a/>'], status: 200, says: /<int>-32600<\/int>/ },
  { title: 'an empty body', args: [...XML, '--data', ''], status: 200, says: /<int>-32[67]\d\d<\/int>/ },
  { title: 'a call with a wrong token', args: [...XML, '--user', 'me:wrong', '--data', PING], status: 200, says: /<int>401<\/int>/ },
];

test.serial('the answer to a wrong request says what is wrong and what to do', async (t) => {
  const relay: RelayProcess = await startCo2(t);
  for (const { title, args, path = '/RPC2', status, says } of WRONG) {
    const { status: got, headers, body } = await answer(t, ...args, relay.url + path);
    t.is(got, status, `${title}: ${body}`);
    t.regex(body, says, title);
    if (status === 405) t.is(headers.get('allow'), 'GET, HEAD, POST', title);
    t.false(headers.has('access-control-allow-origin'), title);
  }
  const right = await answer(t, ...XML, '--data', PING, `${relay.url}/`);
  t.is(right.status, 200);
  t.regex(right.body, /<boolean>1<\/boolean>/);
});

test.serial('the admin token opens what is open, as bearer and as password', async (t) => {
  const relay = await startCo2(t);
  const token = readFileSync(join(relay.cwd, '.co2/admin.token'), 'utf8').trim();
  for (const credential of [
    ['--user', `anybody:${token}`],
    ['--header', `Authorization: Bearer ${token}`],
  ]) {
    const { body } = await answer(t, ...XML, ...credential, '--data', PING, `${relay.url}/RPC2`);
    t.regex(body, /<boolean>1<\/boolean>/);
  }
});
