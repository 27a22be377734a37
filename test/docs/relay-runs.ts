/** Runs the snippets of docs/plugins.md that need a real relay process: saved files, child processes, commands, relay plugins. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { compilerErrors } from '../cli/typescript.ts';
import { runCo2, startCo2 } from '../support/processes.ts';
import type { RelayProcess } from '../support/processes.ts';
import { project, sourceOf } from './page.ts';
import type { Run } from './page.ts';

const SPAM = 'plugins/ham/spam.ts';

/** Starts a relay with the snippet as `plugins/ham/spam.ts`, after a strict type check. */
async function start(t: ExecutionContext, source: string, files: Readonly<Record<string, string>> = {}): Promise<RelayProcess> {
  const cwd = project(t, { [SPAM]: source, ...files });
  t.deepEqual(compilerErrors([SPAM, ...Object.keys(files)].map((file) => join(cwd, file))), []);
  return startCo2(t, { cwd });
}

/** Runs `co2` against this relay with the arguments in a line. */
async function co2(t: ExecutionContext, { url, cwd }: RelayProcess, line: string): Promise<readonly string[]> {
  const end = await runCo2(t, { args: [...line.split(' ').slice(1), '--url', url], cwd }).exit;
  t.is(end.code, 0, [line, ...end.stdout, ...end.stderr].join('\n'));
  return end.stdout;
}

async function kindOf(t: ExecutionContext, relay: RelayProcess): Promise<unknown> {
  const info = await co2(t, relay, 'co2 plugin info ham.spam --json');
  return (JSON.parse(info.join('')) as { kind: unknown }).kind;
}

export const RELAY_RUNS: Readonly<Record<string, Run>> = {
  handover: async (t, source) => {
    const relay = await start(t, source);
    t.is(await relay.call('ham.spam.next'), 1);
    t.is(await relay.call('ham.spam.next'), 2);
    writeFileSync(join(relay.cwd, SPAM), source.replace('++this.#count', '(this.#count += 10)'));
    await relay.stderr.line(/ham\.spam reloaded/);
    t.is(await relay.call('ham.spam.next'), 12);
  },

  'broken-save': async (t, source) => {
    const relay = await start(t, sourceOf('handover'));
    t.is(await relay.call('ham.spam.next'), 1);
    writeFileSync(join(relay.cwd, SPAM), sourceOf('handover').replace('#count = 0', '#count = '));
    const lines = source.trimEnd().split('\n');
    await relay.stderr.line(/ \| +\^/);
    const logged = relay.stderr.all.map((line) => line.replace(/^.* ERROR plugin-host /, ''));
    const first = logged.findIndex((line) => line.includes('not reloaded'));
    t.deepEqual(logged.slice(first, first + lines.length), lines);
    t.is(await relay.call('ham.spam.next'), 2);
    t.regex((await co2(t, relay, 'co2 plugin list')).join('\n'), /ham\.spam .* ham\/spam\.ts:5:12: Expression expected/);
  },

  child: async (t, source) => {
    const relay = await start(t, source);
    t.is(await relay.call('ham.spam.below', 100), 25);
    t.is(await kindOf(t, relay), 'child');
    await t.throwsAsync(relay.call('ham.spam.crash'));
    await relay.stderr.lines(/ham\.spam is ready/, 2);
    t.is(await relay.call('ham.spam.below', 10), 4);
  },

  'isolation-config': async (t, source) => {
    const relay = await start(t, sourceOf('child'), { 'config.ts': source });
    t.is(await kindOf(t, relay), 'inline');
    const shown = await runCo2(t, { args: ['config', 'show'], cwd: relay.cwd }).exit;
    t.regex(shown.stdout.join('\n'), /^maxMemoryMb +128 /m);
  },

  versions: async (t, source) => {
    const relay = await start(t, source);
    t.regex((await co2(t, relay, 'co2 plugin info ham.spam')).join('\n'), /version +1\.2\.0/);
    const other = await start(t, source.replace('>=0.1.0', '^99.0.0'));
    await other.stderr.line(/ham\/spam\.ts: not loaded: .*1\.2\.0.* requires a relay \^99\.0\.0, and this one is \d/);
  },

  operating: async (t, source) => {
    const relay = await start(t, sourceOf('handover'));
    for (const line of source.trim().split('\n')) {
      t.true(line.startsWith('co2 plugin '));
      const shown = (await co2(t, relay, line)).join('\n');
      t.regex(shown, line.endsWith('dead-letters') ? /^\(none\)$/ : line.includes(' log ') ? /ham\.spam|\(none\)/ : /ham\.spam/, line);
    }
    t.is(await relay.call('ham.spam.next'), 1);
  },

  'relay-plugin': async (t, source) => {
    const heard = `import { Plugin, Satellite, type Dict } from 'co2-relay';
@Satellite()
export class Ear extends Plugin {
  override receive(dict: Dict): void { this.log('heard', JSON.stringify([dict.data, dict.place])); }
}
`;
    const relay = await start(t, heard, { 'filters/polite.ts': source, 'config.ts': sourceOf('relay-plugin-config') });
    await t.throwsAsync(relay.call('notify', { data: 'HELLO' }), { code: 403, message: /please do not shout/ } as never);
    await relay.call('notify', { data: 'hello' });
    t.true((await relay.stderr.line(/ heard /)).endsWith('heard ["hello","attic"]'));
  },

  'relay-plugin-config': async (t, source) => {
    await RELAY_RUNS['relay-plugin']?.(t, sourceOf('relay-plugin'));
    const refused = start(t, '', { 'filters/polite.ts': sourceOf('relay-plugin'), 'config.ts': source.replace('polite.ts', 'rude.ts') });
    await t.throwsAsync(refused, { message: /rude\.ts/ });
  },
};
