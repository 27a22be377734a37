/** The commands that query a running relay. Modules that only one command needs are loaded when it runs. */
import { InvalidArgumentError } from 'commander';
import type { Command, CommandOptions } from 'commander';
import { RemoteFault } from '../client/internal.ts';
import { clean, RelayError, suggest } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { prepare, similarTo } from './command-line.ts';
import { describeMethod, helpText, methodNames, checkLiveness, usages } from './introspection.ts';
import { nameOf } from './find-relay.ts';
import { withRelay } from './relay-connection.ts';
import type { Call } from './relay-connection.ts';
import { addTargetOptions } from './target.ts';
import type { TargetFlags } from './target.ts';
import type { BenchFlags } from './bench.ts';
import type { StatusFlags } from './status.ts';
import type { WatchFlags } from './watch.ts';
import { dictOfWords, matchesPattern, paramsOf, toJson, toTable, toText } from './values.ts';

const ARGUMENTS = `
ARGS are parsed as JSON (2, 1.0, "x", true, [1,2], {"a":1}, {"$date":"2026-01-31T09:30:00Z"}, {"$base64":"AQI="}); anything else is a string.
All key=value pairs form one struct; a.b=1 is a member of its member a. @file is the content of a file, - is standard input, also as a value.
1.0 is sent as a double, an integer beyond 32 bits as <i8>, null as <nil/>. Nothing after -- is a flag.`;
const CALL_HELP = `
Examples:
  co2 call example.echo.add 2 3
  co2 call ham.spam.save name=ann address.city=Ulm photo=@ann.jpg
  co2 call ham.spam.add --url 192.168.1.5:2004 -- -2 3
  co2 call --node cellar ham.spam.add 2 3
${ARGUMENTS}`;
const NOTIFY_HELP = `
Examples:
  co2 notify hello
  co2 notify data=hello topic=x
  co2 notify '{"data": {"temperature": 21.5}}'
  echo hello | co2 notify -
  co2 notify data=hello co2.to.node=cellar     only to the satellites of this node of the mesh
${ARGUMENTS}`;
const WATCH_HELP = `
Examples:
  co2 watch
  co2 watch topic=x data.chat.nick='a*'
  co2 watch --count 1 --json
Filters name members of the dict and their values; * stands for any characters. A line has the time (UTC), who sent the dict, and its members.
--json prints an object a line: {at, id, sender, recipients, dict} or {at, type, subject, state, reason}.`;
const METHODS_HELP = `
Examples:
  co2 methods
  co2 methods example
  co2 methods 'example.*'
  co2 methods --network
Without a pattern it prints names, with one how the methods are called: int example.echo.add(a: int, b: int). --json prints names.`;
const PING_HELP = `
Examples:
  co2 ping
  co2 ping --url 192.168.1.5:2004
  co2 ping cellar                the node cellar: its round trip, version and running work`;
const HELP_HELP = `
Examples:
  co2 help notify                the command
  co2 help example.echo.add      the method of the relay
  co2 help --method notify       the method, where a command has the same name`;
const MORE_OPTIONS = `
Options of all commands that ask a relay (--url, --token, --json, ...): co2 --help`;
const EXIT_CODES = `
Exit codes: 0 success, 1 a fault or another failure, 2 invalid usage, 3 no relay answers.`;

const SATELLITE_COLUMNS = ['nick', 'addr', 'host_id', 'ping_current', 'ping_avg', 'ping_count', 'ping_fails', 'ctime'];

/** Adds the commands. */
export function addClientCommands(program: Command): void {
  addTraffic(program);
  addIntrospection(program);
  addOperation(program);
}

/** The commands that call methods and send dicts. */
function addTraffic(program: Command): void {
  const calling = client(program, 'call <method> [args...]', 'call a method and print the result', CALL_HELP);
  calling
    .option('--node <node>', 'the node of the mesh whose method is called: its id or nick (default: the relay itself)')
    .action(async (method: string, words: string[], { node, ...flags }: NodeFlags) => {
      const params = paramsOf(words);
      if (node === undefined) return callAndPrint(flags, (call) => call(method, ...params));
      const { nodeTimeoutOf } = await import('./nodes.ts');
      return callAndPrint(flags, (call) => call('relay.call', node, method, params, nodeTimeoutOf(flags)));
    });
  client(program, 'notify [args...]', 'submit a dict: co2 notify hello', NOTIFY_HELP).action((words: string[], flags: TargetFlags) => {
    const dict = dictOfWords(words);
    return callAndPrint(
      flags,
      (call) => call('notify', dict),
      () => 'accepted',
    );
  });
  client(program, 'watch [filters...]', 'print dicts as they pass, and for admins events of plugins and links', WATCH_HELP)
    .alias('listen')
    .option('--count <number>', 'end after this many', count)
    .option('--events', 'also with filters, and an error without the right to see them')
    .option('--no-events', 'dicts only')
    .option('--no-dicts', 'events only')
    .action(async (filters: readonly string[], flags: WatchFlags) => {
      const { watch } = await import('./watch.ts');
      await watch(filters, flags);
    });
}

/** The commands that show what a server offers and whether it responds. */
function addIntrospection(program: Command): void {
  client(
    program,
    'methods [pattern]',
    'list the methods, or show how those are called that match: a package, a name, or a pattern with *',
    METHODS_HELP,
  )
    .option('--network', 'the methods of the plugins of all nodes of the mesh, and which nodes offer them')
    .action(methods);
  client(program, 'help [words...]', 'show the help of a command, or the documentation of a method of the relay', HELP_HELP)
    .option('--method', 'show the method, even if a command has the same name')
    .action((words: readonly string[], flags: HelpFlags) => help(program, words, flags));
  client(
    program,
    'ping [node]',
    'measure a round trip to the relay, to any XML-RPC server, or from the relay to a node of its mesh',
    PING_HELP,
  ).action(async (node: string | undefined, flags: TargetFlags) => {
    if (node === undefined) return ping(flags);
    const { nodeTimeoutOf, pongText } = await import('./nodes.ts');
    return callAndPrint(flags, (call) => call('relay.ping', node, nodeTimeoutOf(flags)), pongText);
  });
}

/** The commands for operators. */
function addOperation(program: Command): void {
  client(program, 'status', 'show a relay on one screen, or the own status of another server', STATUS_HELP)
    .option('--all', 'show everything that the relay reports')
    .action(async (flags: StatusFlags) => {
      const { status } = await import('./status.ts');
      await status(flags);
    });
  client(program, 'satellites', 'list the remote satellites').action((flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('relay.get_satellites'),
      (value) => toTable(value, SATELLITE_COLUMNS),
    ),
  );
  client(program, 'bench', 'measure the round trips and dicts per second of a running relay', BENCH_HELP)
    .option('--seconds <number>', 'duration of each measurement', benchSeconds, 2)
    .option('--no-dicts', 'round trips only')
    .action(async (flags: BenchFlags) => {
      const { bench } = await import('./bench.ts');
      await bench(flags);
    });
  addLogCommand(program, 'log [plugin]', 'show the last lines of the log of the relay and its plugins, or of one plugin');
  client(program, 'reload', 'make the relay reload its configuration').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('relay.reload'), reloadText),
  );
  client(program, 'stop', 'stop the relay that runs on the state directory, and wait until it has ended', STOP_HELP).action(
    async (flags: TargetFlags) => {
      const { stop } = await import('./stop.ts');
      await stop(flags);
    },
  );
}

const BENCH_HELP = `
Its dicts {"data": "co2 bench"} go to all satellites and peers of the relay, and count against the rate limit of the caller, which ends a
measurement early.`;
const STATUS_HELP = `
It shows rates (counted for half a second), a line for each peer, and only plugins and queues that are not well. --json prints everything.`;
const STOP_HELP = `
It ends in order, like after SIGTERM. It has to run on this machine, as the same user; --timeout limits the wait.`;

interface LogFlags extends TargetFlags {
  readonly follow?: boolean;
  readonly lines: number;
}

const LOG_HELP = `
Examples:
  co2 log -f
  co2 log ham.spam -n 100`;

/** Adds `log`, which is also available as `plugin log`. */
export function addLogCommand(parent: Command, usage: string, description: string): void {
  client(parent, usage, description, LOG_HELP)
    .option('-f, --follow', 'print new lines until interrupted')
    .option('-n, --lines <number>', `number of lines, at most ${MAX_LINES}`, lines, 50)
    .action(async (name: string | undefined, flags: LogFlags) => {
      const { showLog } = await import('./plugin-log.ts');
      await showLog(name, flags);
    });
}

// The number of lines that a relay keeps.
const MAX_LINES = 500;

function lines(text: string): number {
  const value = Number(text);
  if (/^\d{1,3}$/.test(text) && value >= 1 && value <= MAX_LINES) return value;
  throw new InvalidArgumentError(`expected an integer from 1 to ${MAX_LINES}.`);
}

function benchSeconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 3600) return value;
  throw new InvalidArgumentError('expected seconds, more than 0 and at most 3600.');
}

function count(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a whole number of 1 or more.');
}

interface NodeFlags extends TargetFlags {
  readonly node?: string;
}

interface MethodsFlags extends TargetFlags {
  readonly network?: boolean;
}

async function methods(pattern: string | undefined, { network = false, ...flags }: MethodsFlags): Promise<void> {
  if (network) {
    const { networkMethods, networkText } = await import('./nodes.ts');
    const found = await withRelay(flags, (call) => networkMethods(call, (name) => pattern === undefined || matchesName(name, pattern)));
    const which = pattern === undefined ? '' : ` that matches '${clean(pattern, 100)}'`;
    if (found.length === 0) throw new RelayError('NO_SUCH_METHOD', `no plugin of a node offers a method${which}`);
    print(flags, found, networkText(found));
    return;
  }
  const { found, lines } = await withRelay(flags, async (call) => {
    const { names } = await methodNames(call);
    if (pattern === undefined) return { found: names, lines: names };
    const matching = names.filter((name) => matchesName(name, pattern));
    if (matching.length > 0) return { found: matching, lines: flags.json === true ? [] : await usages(call, matching) };
    const hint = pattern.includes('*') ? '' : suggest(pattern, names).replace(/\?$/, '');
    throw new RelayError('NO_SUCH_METHOD', `no method matches '${clean(pattern, 100)}'${hint}`);
  });
  print(flags, found, toText(lines));
}

/** Matches a full name, its package or module, or a pattern in which * matches any characters. */
function matchesName(name: string, pattern: string): boolean {
  return pattern.includes('*') ? matchesPattern(name, pattern) : name === pattern || name.startsWith(`${pattern}.`);
}

function reloadText(value: Value): string {
  const { took_effect: took, needs_restart: restart } = isDict(value) ? value : {};
  const line = (what: string, keys: Value | undefined): string[] =>
    Array.isArray(keys) && keys.length > 0 ? [`${what}: ${keys.join(', ')}`] : [];
  const lines = [...line('took effect', took), ...line('needs a restart', restart)];
  return lines.length === 0 ? 'nothing changed' : lines.join('\n');
}

interface ClientOptions extends CommandOptions {
  /** A flag of all client commands that this one uses for something else. */
  readonly except?: string;
}

/** Adds a command with the flags, help and errors that all client commands share. */
export function client(
  program: Command,
  usage: string,
  description: string,
  more = '',
  { except, ...options }: ClientOptions = {},
): Command {
  return addTargetOptions(prepare(program.command(usage, options)).description(description), except).addHelpText(
    'after',
    `${more}${MORE_OPTIONS}${EXIT_CODES}`,
  );
}

/** Calls the relay and prints the result. */
export async function callAndPrint(
  flags: TargetFlags,
  work: (call: Call) => Promise<Value>,
  text: (value: Value) => string = toText,
): Promise<void> {
  const value = await withRelay(flags, work);
  print(flags, value, text(value));
}

interface HelpFlags extends TargetFlags {
  readonly method?: boolean;
}

/** Prints the help of a command, such as `plugin list`, or of a method if there is no such command. */
async function help(program: Command, words: readonly string[], { method: isMethod = false, ...flags }: HelpFlags): Promise<void> {
  const [first, ...more] = words;
  if (first === undefined) {
    program.outputHelp();
    return;
  }
  let command = isMethod ? undefined : subcommand(program, first);
  if (command) {
    for (const word of more) {
      const parent = command;
      command = subcommand(parent, word);
      if (!command) throw unknownIn(parent, word);
    }
    command.outputHelp();
    return;
  }
  if (more.length > 0) throw new RelayError('CONFIG_INVALID', 'help takes a command or one method; see co2 help --help');
  const account = await withRelay(flags, (call) => describeMethod(call, first)).catch((error: unknown) => {
    const hint = isMethod
      ? ''
      : similarTo(
          first,
          program.commands.map((one) => one.name()),
        );
    throw hint === ''
      ? error
      : new RelayError('CONFIG_INVALID', `there is no command and no method '${clean(first, 60)}'${hint}`, { cause: error });
  });
  print(flags, { method: first, usage: account.usage, help: account.help }, toText(helpText(account)));
}

function subcommand(parent: Command, word: string): Command | undefined {
  return parent.commands.find((one) => one.name() === word || one.aliases().includes(word));
}

function unknownIn(parent: Command, word: string): RelayError {
  const known = parent.commands.map((one) => one.name());
  const hint =
    known.length === 0 ? ' has no commands of its own' : ` has no command '${clean(word, 60)}'${suggest(word, known).replace(/\?$/, '')}`;
  return new RelayError('CONFIG_INVALID', `${parent.name()}${hint}`);
}

/** Measures the second call. The first call connects and finds a method that the server supports. */
async function ping(flags: TargetFlags): Promise<void> {
  const { method, value, fault, ms, at } = await withRelay(flags, async (call, url) => {
    const alive = await checkLiveness(call);
    const begin = performance.now();
    await call(alive.method).catch((error: unknown) => {
      if (!RemoteFault.is(error)) throw error;
    });
    return { ...alive, ms: performance.now() - begin, at: nameOf(url) };
  });
  const took = `in ${ms.toFixed(ms < 10 ? 1 : 0)} ms`;
  const result = { answered: method, url: at, ms: Math.round(ms * 1000) / 1000 };
  if (fault) {
    const code = clean(String(fault.code), 100);
    print(flags, { ...result, fault: { ...fault } }, `${at} answered fault ${code} ${took}: ${clean(fault.text, 300)}`);
  } else if (method === 'ping') print(flags, { ...result, value: value ?? null }, `${at} answered ${toText(value ?? null)} ${took}`);
  else print(flags, result, `${at} answered ${method} ${took}; it has no ping`);
}

function print(flags: TargetFlags, value: unknown, text: string): void {
  process.stdout.write(`${flags.json === true ? toJson(value) : text}\n`);
}
