/** `co2 check-plugin`: the contract test that the author of a program runs. */
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { CheckOptions, CheckReport, Finding } from '../check-plugin/check-plugin.ts';
import { clean, reasonOf, RelayError } from '../message/message.ts';
import { prepare } from './command-line.ts';
import { VERSION } from './package.ts';
import { toJson } from './values.ts';

interface CheckFlags {
  readonly name?: string;
  readonly config?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly timeout: number;
  readonly call?: boolean;
  readonly verbose?: boolean;
  readonly json?: boolean;
}

const MORE = `
Examples:
  co2 check-plugin ./thermo.py
  co2 check-plugin --name ham.thermo --config '{"room": 7}' ./thermo -- --quiet
  co2 check-plugin python3 -- /srv/satellites/thermo.py
It is started several times, as a relay starts it (in a directory of its own, so other paths are to be written in full), and gets messages about
nothing (data: "ping", texts, numbers, 300,000 letters). What each check means stands in docs/protocol-for-programs.md. Exit code: 0 if all holds,
1 if something does not, 2 for wrong use. With --json: {program, name, ok, counts, left_out, findings: [{check, verdict, ...}]}.`;

// As a shell has it.
const INTERRUPTED = 130;
const MAX_CONFIG_BYTES = 1024 * 1024;
const MODULE = /\.[cm]?tsx?$/;

/** Adds the command; `onExit` is told with which code it ends. */
export function addCheckCommand(program: Command, onExit: (code: number) => void): void {
  prepare(program.command('check-plugin <program> [args...]'))
    .description('start a program as a relay does, and say what holds of the protocol for programs and what does not')
    .option('--name <name>', "its name in 'programs' (default: that of its file)")
    .option('--config <file or json>', 'what its plugin.setup gets: JSON, or a file of it', configOf)
    .option('--env <name=value>', 'a variable of its environment; may be repeated', variable)
    .option('--timeout <ms>', 'how long it may take for each step, at most', milliseconds, 10_000)
    .option('--call', 'call its methods with simple parameters, too; they do whatever they do')
    .option('--verbose', 'show what is said between it and the relay, on standard error')
    .option('--json', 'answer as JSON')
    .addHelpText('after', MORE)
    .action(async (exec: string, args: readonly string[], flags: CheckFlags) => {
      onExit(await check(exec, args, flags));
    });
}

/** Answers the exit code. */
async function check(exec: string, args: readonly string[], flags: CheckFlags): Promise<number> {
  if (MODULE.test(exec))
    throw new RelayError(
      'CONFIG_INVALID',
      `${clean(exec)} is a module of plugins/, and speaks the protocol by itself where it says isolation: 'child'; co2 test runs its tests`,
    );
  const { checkPlugin, findingText } = await import('../check-plugin/check-plugin.ts');
  const name = flags.name ?? nameOf(exec);
  const told = new AbortController();
  const interrupt = (): void => {
    told.abort();
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupt);
  try {
    const { config = {}, env = {}, call: callsMethods = false, timeout: timeoutMs } = flags;
    const options: CheckOptions = {
      ...{ record: { name, exec, args, env, config }, timeoutMs, callsMethods, version: VERSION, env: process.env, signal: told.signal },
      onFinding: (finding) => {
        if (flags.json !== true) process.stdout.write(`${findingText(finding)}\n`);
      },
      onWire: (text) => {
        if (flags.verbose === true) process.stderr.write(`  ${wireText(text)}\n`);
      },
    };
    const report = await checkPlugin(options);
    process.stdout.write(flags.json === true ? `${toJson(onWire(exec, name, report))}\n` : `${summary(report)}\n`);
    return isWell(report) ? 0 : 1;
  } catch (error) {
    if (told.signal.aborted) return INTERRUPTED;
    throw error;
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupt);
  }
}

function isWell({ counts, leftOut }: CheckReport): boolean {
  return counts.failed === 0 && leftOut === 0;
}

function summary({ counts, leftOut }: CheckReport): string {
  const parts = [
    `${counts.ok} hold`,
    ...(counts.note > 0 ? [`${counts.note} could be better`] : []),
    ...(counts.failed > 0 ? [`${counts.failed} ${counts.failed === 1 ? 'does' : 'do'} not hold`] : []),
    ...(leftOut > 0 ? [`${leftOut} could not be made`] : []),
  ];
  return `\n${parts.join(', ')}`;
}

function onWire(program: string, name: string, report: CheckReport): object {
  const { counts, leftOut: left_out, findings } = report;
  const members = findings.map((finding: Finding) => ({ ...finding }));
  return { program, name, ok: isWell(report), counts, left_out, findings: members };
}

/** `./my-thermo.py` -> `my_thermo`. */
function nameOf(exec: string): string {
  const word = basename(exec).replace(/\..*$/, '').replace(/\W/g, '_');
  return /^\d/.test(word) || word === '' ? `_${word}` : word;
}

/** What a terminal can show of it, cut. */
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
    throw new InvalidArgumentError(`there is no JSON and no such file: ${clean(reasonOf(error))}`);
  }
  throw new InvalidArgumentError('the file is larger than 1 MiB.');
}

function milliseconds(text: string): number {
  const value = Number(text);
  if (/^\d{1,6}$/.test(text) && value >= 1) return value;
  throw new InvalidArgumentError('expected a whole number of ms, at most 999999.');
}

function variable(text: string, before: CheckFlags['env']): CheckFlags['env'] {
  const [, name, value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('expected NAME=VALUE.');
  return { ...before, [name]: value };
}
