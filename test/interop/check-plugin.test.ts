/** `co2 check-plugin` passes the programs of templates/ and the examples of docs/protocol-for-programs.md. */
import { join } from 'node:path';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR, run, runCo2 } from '../support/processes.ts';
import { temporaryDir } from '../support/relays.ts';

const TEMPLATES = join(PROJECT_DIR, 'templates');
const PAGE = readFileSync(join(PROJECT_DIR, 'docs/protocol-for-programs.md'), 'utf8');

interface Report {
  readonly ok: boolean;
  readonly skipped: number;
  readonly findings: readonly { readonly check: string; readonly verdict: string; readonly found?: string; readonly detail?: string }[];
}

interface Program {
  readonly language: string;
  /** The command line. */
  readonly find: (t: ExecutionContext) => Promise<readonly string[]>;
  /** Notes about flaws of the library that it uses. */
  readonly notes?: readonly RegExp[];
}

const inPlace = (path: string) => async (): Promise<readonly string[]> => [join(TEMPLATES, path)];

/** The example of the page that contains this text, with the command that runs it. */
function onPage(t: ExecutionContext, command: string, text: string): readonly string[] {
  const file = join(temporaryDir(t), 'program');
  writeFileSync(file, [...PAGE.matchAll(/```\w*\n([^]*?)```/g)].map(([, code = '']) => code).find((code) => code.includes(text)) ?? '');
  return [command, '--', file];
}

async function compiled(t: ExecutionContext): Promise<readonly string[]> {
  const program = join(temporaryDir(t), 'program');
  const libraries = ['-lxmlrpc_client', '-lxmlrpc', '-lxmlrpc_util'];
  t.is((await run(t, 'cc', ['-Wall', '-Werror', '-o', program, join(TEMPLATES, 'c/spam.c'), ...libraries]).exit).code, 0);
  return [program];
}

const UNKNOWN_METHOD = /^a method that it does not have is answered with a fault: fault 1/;

const PROGRAMS: readonly Program[] = [
  { language: 'Python', find: inPlace('python/spam.py'), notes: [UNKNOWN_METHOD] },
  { language: 'Perl', find: inPlace('perl/spam.pl') },
  { language: 'Ruby', find: inPlace('ruby/spam.rb') },
  { language: 'C', find: async (t) => ['--send', '{"astral":"replace"}', ...(await compiled(t))] },
  { language: 'PHP', find: inPlace('php/spam.php') },
  { language: 'shell', find: inPlace('shell/spam.sh') },
];

async function reportOf(t: ExecutionContext, name: string, command: readonly string[]): Promise<Report> {
  const { code, stdout, stderr } = await runCo2(t, { args: ['check-plugin', '--json', '--call', '--name', name, ...command] }).exit;
  t.deepEqual(stderr, []);
  const report = JSON.parse(stdout.join('\n')) as Report;
  t.is(code, report.ok ? 0 : 1);
  return report;
}

const wrongOf = ({ findings }: Report, verdict: string): string[] =>
  findings.filter((one) => one.verdict === verdict).map(({ check, found = '' }) => `${check}: ${found}`);

for (const { language, find, notes = [] } of PROGRAMS) {
  test.serial(`${language}: passes every check`, async (t) => {
    const report = await reportOf(t, 'far.adder', await find(t));
    t.deepEqual(wrongOf(report, 'failed'), []);
    t.is(report.skipped, 0);
    const found = wrongOf(report, 'note');
    t.is(found.length, notes.length, found.join('\n'));
    for (const [index, note] of notes.entries()) t.regex(found[index] ?? '', note);
    t.is(report.findings.find(({ check }) => check.startsWith('its methods answer'))?.detail, 'far.adder.add(int, int)');
    t.regex(
      report.findings.find(({ check }) => check.startsWith('its calls of the relay'))?.detail ?? '',
      /^relay\.relay\(.*"pong":"check@/,
    );
  });
}

const ON_PAGE: readonly (readonly [name: string, command: string, text: string, notes: readonly RegExp[]])[] = [
  ['with a server, in Python', 'python3', 'SimpleXMLRPCServer', [UNKNOWN_METHOD]],
  ['without a server, in a shell', 'sh', 'while next=$(call', []],
];

for (const [name, command, text, notes] of ON_PAGE) {
  test.serial(`the example ${name} in the documentation passes every check`, async (t) => {
    const report = await reportOf(t, 'thermo', onPage(t, command, text));
    t.true(report.ok, wrongOf(report, 'failed').join('\n'));
    const found = wrongOf(report, 'note');
    t.is(found.length, notes.length, found.join('\n'));
    for (const [index, note] of notes.entries()) t.regex(found[index] ?? '', note);
  });
}
