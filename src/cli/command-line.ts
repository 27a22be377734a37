/** A command line that cannot be understood: what every command has so that it is told in one line, with the help that explains it. */
import type { Command, CommanderError } from 'commander';
import { clean, suggest } from '../message/message.ts';

/** What commander would have ended the process with: a mistake, or the end of a help or version text (`exitCode` 0). */
export class WrongUse extends Error {
  constructor(
    readonly command: Command,
    readonly error: CommanderError,
  ) {
    super(error.message);
  }
}

/** Gives `command` its way to show help, and lets it throw a {@link WrongUse} instead of ending the process. */
export function prepare(command: Command): Command {
  return command
    .helpOption('--help', 'show this help')
    .exitOverride((error) => {
      throw new WrongUse(command, error);
    })
    .configureOutput({ writeErr: () => undefined });
}

/** One line: what is wrong, and whose help says how it is right. */
export function wrongUseText({ command, error }: WrongUse): string {
  const program = command.parent && !command.parent.parent ? command.parent : command;
  // The flags of the start stand in the help of the program.
  const isStart = command.name() === 'start';
  return `${reason(command, error, program)}; see ${isStart ? program.name() : pathOf(command)} --help`;
}

function reason(command: Command, { code, message }: CommanderError, program: Command): string {
  if (code === 'commander.help') return `${command.name()} needs one of ${inWords(command.commands.map((sub) => sub.name()))}`;
  // Whoever gives no command starts a relay, so a misspelt one is a word too many for the start.
  if (code === 'commander.excessArguments' && command.name() === 'start') return noCommand(command.args[0] ?? '', program);
  return message.replace(/^error: /, '').replace(/\.$/, '');
}

function noCommand(word: string, program: Command): string {
  const known = program.commands.map((command) => command.name());
  return `there is no command '${clean(word, 60)}'${suggest(word, known).replace(/\?$/, '')}`;
}

/** `co2 token create`. */
function pathOf(command: Command): string {
  const names: string[] = [];
  for (let one: Command | null = command; one; one = one.parent) names.unshift(one.name());
  return names.join(' ');
}

function inWords(names: readonly string[]): string {
  return [names.slice(0, -1).join(', '), ...names.slice(-1)].join(' and ');
}
