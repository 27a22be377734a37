/** `co2 check-plugin`: the contract test for programs, run by their authors. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { CheckOptions, CheckReport, Finding } from '../check-plugin/check-plugin.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import { environmentVariable, prepare } from './command-line.ts';
import { VERSION } from './package.ts';
import { toJson, withoutUndefined } from './values.ts';

interface CheckFlags {
  readonly name?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly cfg?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly send?: Readonly<Record<string, unknown>>;
  readonly timeout: number;
  readonly call?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

const MORE = `
Examples:
  co2 check-plugin ./thermo.py
  co2 check-plugin --name ham.thermo --config '{"room": 7}' ./thermo -- --quiet
  co2 check-plugin ./watcher.py --cfg '{"file": "/etc/nodes"}'
  co2 check-plugin python3 -- /srv/satellites/thermo.py
The program is started several times, like a relay does it, in a working directory of its own (use absolute paths in its
arguments), and receives test messages (data: "ping", texts, numbers, 300,000 letters). docs/protocol-for-programs.md describes each
check. Exit codes: 0 all checks passed, 1 a check failed or was skipped, 2 invalid usage. --json prints {program, name, ok, counts, skipped, findings: [{check, verdict, ...}]}.`;

// The exit code by which shells report SIGINT.
const INTERRUPTED = 130;
const MAX_CONFIG_BYTES = 1024 * 1024;
const MODULE = /\.[cm]?tsx?$/;

/** Adds the command; `onExit` receives its exit code. */
export function addCheckCommand(program: Command, onExit: (code: number) => void): void {
  prepare(program.command('check-plugin <program> [args...]'))
    .description('check whether a program conforms to the protocol for programs')
    .option('--name <name>', "its name in 'programs' (default: the name of its file)")
    .option('--config <file or json>', 'configuration for its plugin.setup: JSON or a JSON file', configOf)
    .option('--cfg <file or json>', 'configuration of a service for its watchers and reactors: JSON or a JSON file', configOf)
    .option('--env <name=value>', 'environment variable; may be repeated', environmentVariable)
    .option('--send <json>', 'how values are written for it, as send in \'programs\': {"astral":"replace"}', configOf)
    .option('--timeout <ms>', 'time limit of each step', milliseconds, 10_000)
    .option(
      '--call',
      'also call its methods with simple parameters, run its work, and send changes to its reactors, despite their side effects',
    )
    .option('--verbose', 'print the traffic between the program and the relay to standard error')
    .option('--json', 'print JSON')
    .addHelpText('after', MORE)
    .action(async (exec: string, args: readonly string[], flags: CheckFlags) => {
      onExit(await check(exec, args, flags));
    });
}

/** Resolves to the exit code. */
async function check(exec: string, args: readonly string[], flags: CheckFlags): Promise<number> {
  if (MODULE.test(exec))
    throw new RelayError('CONFIG_INVALID', `${clean(exec)} is a plugin module, not a program; run its tests with co2 test`);
  const { checkPlugin, findingText } = await import('../check-plugin/check-plugin.ts');
  const name = flags.name ?? nameOf(exec);
  const interrupted = new AbortController();
  const interrupt = (): void => {
    interrupted.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    const { config = {}, cfg = {}, env = {}, send, call: callsMethods = false, timeout: timeoutMs } = flags;
    const options: CheckOptions = {
      ...{
        record: { name, exec, args, env, config, send },
        timeoutMs,
        cfg,
        callsMethods,
        version: VERSION,
        env: process.env,
        signal: interrupted.signal,
      },
      onFinding: (finding) => {
        if (flags.json !== true) process.stdout.write(`${findingText(finding)}\n`);
      },
      onWire: (text) => {
        if (flags.verbose === true) process.stderr.write(`  ${wireText(text)}\n`);
      },
    };
    const report = await checkPlugin(options);
    process.stdout.write(flags.json === true ? `${toJson(onWire(exec, name, report))}\n` : `${summary(report)}\n`);
    return isPassed(report) ? 0 : 1;
  } catch (error) {
    if (interrupted.signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

function isPassed({ counts, skipped }: CheckReport): boolean {
  return counts.failed === 0 && skipped === 0;
}

function summary({ counts, skipped }: CheckReport): string {
  const parts = [
    `${counts.ok} passed`,
    ...(counts.note > 0 ? [`${counts.note} passed with a note`] : []),
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  return `\n${parts.join(', ')}`;
}

function onWire(program: string, name: string, report: CheckReport): object {
  const { counts, skipped, findings } = report;
  const members = findings.map((finding: Finding) => withoutUndefined({ ...finding }));
  return { program, name, ok: isPassed(report), counts, skipped, findings: members };
}

/** Derives a name from a command: `./my-thermo.py` -> `my_thermo`. */
function nameOf(exec: string): string {
  const word = basename(exec).replace(/\..*$/, '').replace(/\W/g, '_');
  return /^\d/.test(word) || word === '' ? `_${word}` : word;
}

/** Shortens the text and removes control characters. */
function wireText(text: string): string {
  return clean(text.replaceAll('\n', ' '), 2_000);
}

function configOf(text: string): Readonly<Record<string, unknown>> {
  const source = text.trimStart().startsWith('{') ? text : read(text);
  try {
    const config: unknown = JSON.parse(source);
    if (typeof config === 'object' && config !== null && !Array.isArray(config)) return config as Readonly<Record<string, unknown>>;
  } catch (error) {
    throw new InvalidArgumentError(`expected a JSON object: ${clean(reasonOf(error))}`);
  }
  throw new InvalidArgumentError('expected a JSON object.');
}

function read(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length <= MAX_CONFIG_BYTES) return text;
  } catch (error) {
    throw new InvalidArgumentError(`neither JSON nor a readable file: ${clean(reasonOf(error))}`);
  }
  throw new InvalidArgumentError('the file is larger than 1 MiB.');
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= 1) return value;
  throw new InvalidArgumentError('expected an integer number of ms, from 1 to 999999.');
}
