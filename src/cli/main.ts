/** The `co2` command. */
import { Command, CommanderError } from 'commander';
import { VERSION } from '../app.ts';
import { RelayError, clean, reasonOf } from '../message/message.ts';
import { addStartOptions } from './options.ts';
import type { StartFlags } from './options.ts';
import { start } from './start.ts';
import { addTokenCommand } from './token.ts';

// 1: the relay could not start or failed; 2: the command line or the configuration is wrong.
const FAILED = 1;
const WRONG_USE = 2;

async function main(): Promise<number> {
  let code = 0;
  const program = new Command('co2')
    .description('An XML-RPC relay: drop a TypeScript file into plugins/ and it is part of the network.')
    .version(VERSION, '--version', 'print the version')
    .helpOption('--help', 'show this help')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  const command = prepare(program.command('start', { isDefault: true })).description(
    'start a relay (this is what happens without a command, too)',
  );
  addStartOptions(command).action(async (flags: StartFlags) => {
    code = await start(flags);
  });
  addTokenCommand(program, prepare);
  // The start is what nearly everybody wants: `co2 --help` shows its flags at once.
  program.addHelpText('after', () => `\n${command.helpInformation()}`);
  try {
    await program.parseAsync();
  } catch (error) {
    code = report(error, command.args);
  }
  return code;
}

/** What every command has of the program: its way to show help, and that it throws instead of ending the process. */
function prepare(command: Command): Command {
  return command
    .helpOption('--help', 'show this help')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
}

/** One line on stderr for whatever stopped us; answers the exit code. `words`: what stood on the command line besides flags. */
function report(error: unknown, words: readonly string[]): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    if (error.code === 'commander.help') {
      process.stderr.write('co2: token needs one of create, list and revoke; see co2 token --help\n');
      return WRONG_USE;
    }
    if (error.code === 'commander.excessArguments' && words.length > 0) {
      process.stderr.write(`co2: there is no command '${clean(words[0] ?? '', 60)}' (start, token); see co2 --help\n`);
      return WRONG_USE;
    }
    process.stderr.write(`${error.message.replace(/\s*\n\s*/g, ' ').replace(/^error: /, 'co2: ')}; see co2 --help\n`);
    return WRONG_USE;
  }
  if (RelayError.is(error)) {
    process.stderr.write(`co2: ${error.message.replace(/\s*\n\s*/g, ' ')}\n`);
    return error.code === 'CONFIG_INVALID' ? WRONG_USE : FAILED;
  }
  process.stderr.write(`co2: the relay failed: ${reasonOf(error)}\n${error instanceof Error ? (error.stack ?? '') : ''}\n`);
  return FAILED;
}

// Whatever a plugin left open must not keep a stopped relay alive.
process.exit(await main());
