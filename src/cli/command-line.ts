/** What all commands share: their help option, usage errors as one line, and parsers of option values. */
import { InvalidArgumentError } from 'commander';
import type { Command, CommanderError } from 'commander';
import { clean, suggest } from '../core/core.ts';

/** Thrown where commander would exit: a usage error, or the end of a help or version text (`exitCode` 0). */
export class UsageError extends Error {
  constructor(
    readonly command: Command,
    readonly error: CommanderError,
  ) {
    super(error.message);
  }
}

/** Adds `--help` to a command and makes it throw a {@link UsageError} instead of exiting. */
export function prepare(command: Command): Command {
  return command
    .helpOption('--help', 'show this help')
    .exitOverride((error) => {
      throw new UsageError(command, error);
    })
    .configureOutput({ writeErr: () => undefined });
}

/** Parses `NAME=VALUE` of an option that may be repeated. */
export function environmentVariable(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('expected NAME=VALUE.');
  return { ...before, [name]: value };
}

/** One line: the error and the help to read. */
export function usageErrorText({ command, error }: UsageError): string {
  const program = command.parent && !command.parent.parent ? command.parent : command;
  // The help of the program includes the flags of `co2 start`.
  const isStart = command.name() === 'start';
  return `${reason(command, error, program)}; see ${isStart ? program.name() : pathOf(command)} --help`;
}

function reason(command: Command, { code, message }: CommanderError, program: Command): string {
  if (code === 'commander.help') return `${command.name()} requires one of ${listed(command.commands.map((sub) => sub.name()))}`;
  // `start` is the default command, so commander takes a misspelled command for an extra argument of it.
  if (code === 'commander.excessArguments' && command.name() === 'start') return unknownCommand(command.args[0] ?? '', program);
  return message.replace(/^error: /, '').replace(/\.$/, '');
}

function unknownCommand(word: string, program: Command): string {
  const known = program.commands.map((command) => command.name());
  return `unknown command '${clean(word, 60)}'${suggest(word, known).replace(/\?$/, '')}`;
}

/** `co2 token create`. */
function pathOf(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one; one = one.parent) names.unshift(one.name());
  return names.join(' ');
}

function listed(names: readonly string[]): string {
  return [names.slice(0, -1).join(', '), ...names.slice(-1)].join(' and ');
}
