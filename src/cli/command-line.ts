/** Code shared by all commands: the help option, usage errors on one line, and parsers of option values. */
import { CommanderError, InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
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

/** Adds `-h` and `--help` to a command and makes it throw a {@link UsageError} instead of exiting. */
export function prepare(command: Command): Command {
  return command
    .helpOption('-h, --help', 'show this help')
    .exitOverride((error) => {
      throw new UsageError(command, error);
    })
    .configureOutput({ writeErr: () => undefined })
    .showSuggestionAfterError(false);
}

/** Parses `NAME=VALUE` of an option that may be repeated. */
export function environmentVariable(text: string, before: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const [, name, value = ''] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  if (name === undefined) throw new InvalidArgumentError('expected NAME=VALUE.');
  return { ...before, [name]: value };
}

/**
 * The arguments with the options before a command moved behind it: `--json token list` is read as `token list --json`. Throws a {@link
 * UsageError} for an unknown command.
 */
export function withOptionsLast(program: Command, args: readonly string[]): readonly string[] {
  const takesValue = new Map(allOptions(program).map(({ flag, isValued }) => [flag, isValued]));
  const path: string[] = [];
  const early: string[] = [];
  let command = program;
  let at = 0;
  for (; at < args.length; at++) {
    const word = args[at] ?? '';
    const sub = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (sub) {
      path.push(word);
      command = sub;
    } else if (word.startsWith('-') && word !== '-' && word !== '--') {
      early.push(word);
      const isValued = takesValue.get(word.replace(/=.*$/s, ''));
      // Commander reports it, with a similar option.
      if (isValued === undefined) return args;
      const next = args[at + 1];
      if (!isValued || word.includes('=') || next === undefined) continue;
      early.push(next);
      at++;
    } else break;
  }
  const rest = args.slice(at);
  const [word] = rest;
  // Commander would take it for an argument of the default command of the group.
  if (path.length > 0 && command.commands.length > 0 && word !== undefined && !word.startsWith('-'))
    throw new UsageError(command, new CommanderError(1, 'commander.unknownCommand', unknownCommand(word, command)));
  if (path.length > 0) return [...path, ...early, ...rest];
  if (word === undefined || word === '--') return args;
  throw new UsageError(program, new CommanderError(1, 'commander.unknownCommand', unknownCommand(word, program)));
}

function allOptions(command: Command): readonly { readonly flag: string; readonly isValued: boolean }[] {
  const own = command.options.flatMap(({ short, long, required, optional }) =>
    [short, long].filter((flag) => flag !== undefined).map((flag) => ({ flag, isValued: required || optional })),
  );
  return [...own, ...command.commands.flatMap(allOptions)];
}

/** One line: the error and the help to read. */
export function usageErrorText({ command, error }: UsageError): string {
  const program = command.parent && !command.parent.parent ? command.parent : command;
  // The help of the program includes the flags of `co2 start`.
  const isStart = command.name() === 'start' && command.parent === program;
  return `${reason(command, error)}; see ${isStart ? program.name() : pathOf(command)} --help`;
}

function reason(command: Command, { code, message }: CommanderError): string {
  if (code === 'commander.help') return `${command.name()} requires one of ${listed(command.commands.map((sub) => sub.name()))}`;
  const [, word = ''] = /'(.*)'/s.exec(message) ?? [];
  if (code === 'commander.unknownCommand' && command.parent) return unknownCommand(word, command);
  if (code === 'commander.unknownOption')
    return `unknown option '${clean(word, 60)}'${similarTo(
      word,
      allOptions(command).map(({ flag }) => flag),
    )}`;
  return message.replace(/^error: /, '').replace(/\.$/, '');
}

function unknownCommand(word: string, command: Command): string {
  const known = command.commands.map((sub) => sub.name());
  return `unknown command '${clean(word, 60)}'${similarTo(word, known)}`;
}

/** Suggests a similar name. Returns '' if there is none, because the help lists all names. */
export function similarTo(word: string, known: readonly string[]): string {
  const text = suggest(word, known);
  return text.startsWith('; did you mean') ? text.replace(/\?$/, '') : '';
}

/** The full name of a command, such as `co2 token create`. */
function pathOf(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one; one = one.parent) names.unshift(one.name());
  return names.join(' ');
}

function listed(names: readonly string[]): string {
  return [names.slice(0, -1).join(', '), ...names.slice(-1)].join(' and ');
}
