/** The `co2` command: parses the command line, runs the command, and turns errors into one line and an exit code. */
import { Command } from 'commander';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';
import { RemoteFault } from '../client/internal.ts';
import { addCheckCommand } from './check-command.ts';
import { addClientCommands } from './client-commands.ts';
import { prepare, UsageError, usageErrorText } from './command-line.ts';
import { addConfigCommands } from './config-commands.ts';
import { addGenCommand } from './gen-command.ts';
import { addInitCommand } from './init-command.ts';
import { addNewCommand } from './new-command.ts';
import { VERSION } from './package.ts';
import { addPluginCommands } from './plugin-commands.ts';
import { addStartOptions } from './start-options.ts';
import type { StartFlags } from './start-options.ts';
import { addTestCommand } from './test-command.ts';
import { addTokenCommand } from './token-command.ts';

// 1: the relay did not start, failed or returned a fault; 2: invalid command line or configuration; 3: no relay answers.
const FAILED = 1;
const USAGE = 2;
const UNREACHABLE = 3;
const EXIT_CODES: Partial<Record<ErrorCode, number>> = { CONFIG_INVALID: USAGE, TRANSPORT: UNREACHABLE, TIMEOUT: UNREACHABLE };

// Keep running when the reader of our output has gone away (EPIPE).
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

async function main(): Promise<number> {
  let code = 0;
  const program = prepare(new Command('co2'))
    .description('An XML-RPC relay: drop a TypeScript file into plugins/ and it is part of the network.')
    .version(VERSION, '--version', 'print the version')
    .helpCommand(false);
  const command = prepare(program.command('start', { isDefault: true })).description('start a relay (the default command)');
  addStartOptions(command).action(async (flags: StartFlags) => {
    const { start } = await import('./start.ts');
    code = await start(flags);
  });
  addClientCommands(program);
  addConfigCommands(program);
  addPluginCommands(program);
  addTokenCommand(program);
  addGenCommand(program);
  addInitCommand(program);
  addNewCommand(program);
  const onExit = (exit: number): void => {
    code = exit;
  };
  addTestCommand(program, onExit);
  addCheckCommand(program, onExit);
  // `co2 --help` includes the flags of the default command.
  program.addHelpText('after', () => `\n${command.helpInformation()}`);
  try {
    await program.parseAsync();
  } catch (error) {
    code = report(error);
  }
  return code;
}

/** Prints the error as one line on stderr; returns the exit code. */
function report(error: unknown): number {
  if (error instanceof UsageError) return error.error.exitCode === 0 ? 0 : say(usageErrorText(error), USAGE);
  if (RemoteFault.is(error)) {
    const code = typeof error.faultCode === 'string' ? clean(error.faultCode, 100) : String(error.code);
    return say(`fault ${code}: ${clean(error.message, 1000)}`, FAILED);
  }
  if (RelayError.is(error)) return say(error.message, EXIT_CODES[error.code] ?? FAILED);
  process.stderr.write(`co2: the relay failed: ${reasonOf(error)}\n${error instanceof Error ? (error.stack ?? '') : ''}\n`);
  return FAILED;
}

function say(text: string, code: number): number {
  process.stderr.write(`co2: ${clean(text.replace(/\s*\n\s*/g, ' '), Infinity)}\n`);
  return code;
}

// Timers and sockets that a plugin left open must not keep a stopped relay alive.
process.exit(await main());
