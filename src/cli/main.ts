/** The `co2` command: parses the command line, runs the command, and turns errors into one line and an exit code. */
import { Command } from 'commander';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { ErrorCode } from '../core/core.ts';
import { RemoteFault } from '../client/internal.ts';
import { addClientCommands } from './client-commands.ts';
import { prepare, UsageError, usageErrorText, withOptionsLast } from './command-line.ts';
import { VERSION } from './package.ts';
import { addStartOptions } from './start-options.ts';
import type { StartFlags } from './start-options.ts';
import { TARGET_HELP } from './target.ts';
import { toJson } from './values.ts';

// 1: the relay did not start, failed or returned a fault; 2: invalid command line or configuration; 3: no relay answers.
const FAILED = 1;
const USAGE = 2;
const UNREACHABLE = 3;
const EXIT_CODES: Partial<Record<ErrorCode, number>> = { CONFIG_INVALID: USAGE, TRANSPORT: UNREACHABLE, TIMEOUT: UNREACHABLE };

// Keep running when the reader of our output has closed it (EPIPE).
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

type OnExit = (code: number) => void;

/** Commands that are registered together; a file is only loaded if the command line may mean one of them. */
interface Group {
  readonly names: readonly string[];
  readonly add: (program: Command, onExit: OnExit) => Promise<void> | void;
}

// In the order of the help.
const GROUPS: readonly Group[] = [
  { names: ['start'], add: addStartCommand },
  {
    names: ['call', 'notify', 'watch', 'listen', 'methods', 'help', 'ping', 'status', 'satellites', 'log', 'reload', 'stop', 'bench'],
    add: addClientCommands,
  },
  { names: ['peers'], add: async (program) => (await import('./peer-commands.ts')).addPeerCommands(program) },
  {
    names: ['nodes', 'routes', 'traceroute'],
    add: async (program, onExit) => (await import('./node-commands.ts')).addNodeCommands(program, onExit),
  },
  { names: ['outbox'], add: async (program) => (await import('./outbox-commands.ts')).addOutboxCommands(program) },
  { names: ['service'], add: async (program) => (await import('./service-commands.ts')).addServiceCommands(program) },
  { names: ['work'], add: async (program, onExit) => (await import('./work-commands.ts')).addWorkCommands(program, onExit) },
  {
    names: ['record', 'command'],
    add: async (program, onExit) => (await import('./record-commands.ts')).addRecordCommands(program, onExit),
  },
  { names: ['plugin'], add: async (program) => (await import('./plugin-commands.ts')).addPluginCommands(program) },
  { names: ['config'], add: async (program, onExit) => (await import('./config-commands.ts')).addConfigCommands(program, onExit) },
  { names: ['token'], add: async (program) => (await import('./token-command.ts')).addTokenCommand(program) },
  { names: ['init'], add: async (program) => (await import('./init-command.ts')).addInitCommand(program) },
  { names: ['new'], add: async (program) => (await import('./new-command.ts')).addNewCommand(program) },
  { names: ['test'], add: async (program, onExit) => (await import('./test-command.ts')).addTestCommand(program, onExit) },
  { names: ['check-plugin'], add: async (program, onExit) => (await import('./check-command.ts')).addCheckCommand(program, onExit) },
  { names: ['gen'], add: async (program) => (await import('./gen-command.ts')).addGenCommand(program) },
  { names: ['completion'], add: async (program) => (await import('./completion-command.ts')).addCompletionCommand(program) },
  { names: ['version'], add: addVersionCommand },
];

async function main(args: readonly string[]): Promise<number> {
  let code = 0;
  const onExit: OnExit = (exit) => {
    code = exit;
  };
  const program = prepare(new Command('co2'))
    .description('An XML-RPC relay: drop a TypeScript file into plugins/ and it is part of the network.')
    .version(VERSION, '-v, --version', 'print the version')
    .helpCommand(false);
  try {
    for (const { add } of groupsFor(args)) await add(program, onExit);
    await program.parseAsync(withOptionsLast(program, args), { from: 'user' });
  } catch (error) {
    code = report(error, isJson(args));
  }
  return code;
}

/** Selects the groups of the named command: `start` if no command is named, and all groups for the help or an unknown command. */
function groupsFor(args: readonly string[]): readonly Group[] {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const meant = GROUPS.filter(({ names }) => names.some((name) => words.includes(name)));
  const isStart = words.length === 0 && !args.some((arg) => arg === '-h' || arg === '--help');
  if (isStart) return GROUPS.slice(0, 1);
  // Completion lists all commands.
  return meant.length === 0 || words[0] === 'help' || words[0] === 'completion' ? GROUPS : meant;
}

function addStartCommand(program: Command, onExit: OnExit): void {
  const command = prepare(program.command('start', { isDefault: true })).description('start a relay (the default command)');
  addStartOptions(command).action(async (flags: StartFlags) => {
    const { start } = await import('./start.ts');
    onExit(await start(flags));
  });
  // `co2 --help` includes the flags of the default command.
  program.addHelpText('after', () => `\n${TARGET_HELP}\n\n${command.helpInformation()}`);
}

function addVersionCommand(program: Command): void {
  prepare(program.command('version'))
    .description('print the version')
    .option('--json', 'print JSON')
    .action(({ json }: { readonly json?: boolean }) => {
      process.stdout.write(`${json === true ? toJson({ co2_relay: VERSION, node: process.version }) : VERSION}\n`);
    });
}

/** True if the user requested JSON; words after `--` are not options. */
function isJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).includes('--json');
}

/** The error in machine-readable form: `code` is the code of a fault or of a RelayError. */
interface Problem {
  readonly kind: 'usage' | 'fault' | 'failed';
  readonly code: number | string;
  readonly message: string;
  readonly exit: number;
}

/** Prints the error on stderr, as one line or as JSON; returns the exit code. */
function report(error: unknown, asJson: boolean): number {
  if (error instanceof UsageError && error.error.exitCode === 0) return 0;
  const problem = problemOf(error);
  if (!problem) {
    process.stderr.write(`co2: the relay failed: ${reasonOf(error)}\n${error instanceof Error ? (error.stack ?? '') : ''}\n`);
    return FAILED;
  }
  const { exit, kind, code, message } = problem;
  if (!asJson) return say(kind === 'fault' ? `fault ${code}: ${message}` : message, exit);
  process.stderr.write(`${toJson({ error: { kind, code, message } }, 0)}\n`);
  return exit;
}

/** Returns undefined for an unexpected error, which is a bug of ours. */
function problemOf(error: unknown): Problem | undefined {
  if (error instanceof UsageError) return { kind: 'usage', code: 'USAGE', message: usageErrorText(error), exit: USAGE };
  if (RemoteFault.is(error)) {
    const code = typeof error.faultCode === 'string' ? clean(error.faultCode, 100) : error.code;
    return { kind: 'fault', code, message: clean(error.message, 1000), exit: FAILED };
  }
  if (!RelayError.is(error)) return undefined;
  const exit = EXIT_CODES[error.code] ?? FAILED;
  return { kind: exit === USAGE ? 'usage' : 'failed', code: error.code, message: error.message, exit };
}

function say(text: string, code: number): number {
  process.stderr.write(`co2: ${clean(text.replace(/\s*\n\s*/g, ' '), Infinity)}\n`);
  return code;
}

// Timers and sockets that a plugin left open must not keep a stopped relay alive.
process.exit(await main(process.argv.slice(2)));
