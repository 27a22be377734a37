/** The commands that call a running relay: call, notify, methods, help, ping, satellites, peers, reload, status. */
import type { Command } from 'commander';
import { clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { prepare } from './command-line.ts';
import { describeMethod, helpText, methodNames, checkLiveness, statusOf } from './introspection.ts';
import { addTargetOptions, socketOf, withRelay } from './relay-connection.ts';
import type { Call, TargetFlags } from './relay-connection.ts';
import { dictOfWords, paramsOf, toJson, toTable, toText } from './values.ts';

const ARGUMENTS = `
ARGS are parsed as JSON (2, 1.0, "x", true, [1,2], {"a":1}); anything else is a string. All key=value pairs form one struct.
1.0 is sent as a double, an integer beyond 32 bits as <i8>, null as <nil/>. Nothing after -- is a flag.`;
const EXIT_CODES = `
Exit codes: 0 success, 1 a fault or another failure, 2 invalid usage, 3 no relay answers.`;

const SATELLITE_COLUMNS = ['nick', 'addr', 'host_id', 'ping_current', 'ping_avg', 'ping_count', 'ping_fails', 'ctime'];
const PEER_COLUMNS = ['peer', 'state', 'waiting', 'forwarded', 'unreadable', 'refused', 'dropped', 'last_error'];

/** Adds the commands. */
export function addClientCommands(program: Command): void {
  client(program, 'call <method> [args...]', 'call a method and print the result', ARGUMENTS).action(
    (method: string, words: string[], flags: TargetFlags) => callAndPrint(flags, (call) => call(method, ...paramsOf(words))),
  );
  client(program, 'notify [args...]', 'submit a dict: co2 notify data=hello', ARGUMENTS).action((words: string[], flags: TargetFlags) => {
    const dict = dictOfWords(words);
    return callAndPrint(
      flags,
      (call) => call('notify', dict),
      () => 'accepted',
    );
  });
  client(program, 'methods', 'list all methods').action((flags: TargetFlags) =>
    callAndPrint(flags, async (call) => (await methodNames(call)).names),
  );
  client(program, 'help [method]', 'show the usage and documentation of a method; without a name, this help').action(
    async (method: string | undefined, flags: TargetFlags) => {
      if (method === undefined) program.outputHelp();
      else await help(method, flags);
    },
  );
  client(program, 'ping', 'check whether the relay, or any XML-RPC server, answers').action(ping);
  client(program, 'satellites', 'list the remote satellites').action((flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('relay.get_satellites'),
      (value) => toTable(value, SATELLITE_COLUMNS),
    ),
  );
  client(program, 'peers', 'list the peer relays and the state of their links').action((flags: TargetFlags) =>
    callAndPrint(
      flags,
      (call) => call('relay.get_peers'),
      (value) => toTable(value, PEER_COLUMNS),
    ),
  );
  client(program, 'reload', 'make the relay reload its configuration').action((flags: TargetFlags) =>
    callAndPrint(flags, (call) => call('relay.reload'), reloadText),
  );
  client(program, 'status', 'show counters, links and plugins; for other servers, their own status').action(status);
}

function reloadText(value: Value): string {
  const { took_effect: took, needs_restart: restart } = isDict(value) ? value : {};
  const line = (what: string, keys: Value | undefined): string[] =>
    Array.isArray(keys) && keys.length > 0 ? [`${what}: ${keys.join(', ')}`] : [];
  const lines = [...line('took effect', took), ...line('needs a restart', restart)];
  return lines.length === 0 ? 'nothing changed' : lines.join('\n');
}

/** Adds a command with the flags, help and errors that all client commands share. */
export function client(program: Command, usage: string, description: string, more = ''): Command {
  return addTargetOptions(prepare(program.command(usage)).description(description)).addHelpText('after', `${more}${EXIT_CODES}`);
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

async function help(method: string, flags: TargetFlags): Promise<void> {
  const account = await withRelay(flags, (call) => describeMethod(call, method));
  print(flags, { method, usage: account.usage, help: account.help }, toText(helpText(account)));
}

async function status(flags: TargetFlags): Promise<void> {
  const { method, value, at } = await withRelay(flags, async (call, url) => ({ ...(await statusOf(call)), at: url }));
  const isRelay = method === 'relay.get_status';
  const head = isRelay ? '' : `${nameOf(at)} has no relay.get_status; result of ${method}:\n`;
  print(flags, isRelay ? value : { answered: method, value }, head + toText(value));
}

async function ping(flags: TargetFlags): Promise<void> {
  const begin = performance.now();
  const { method, value, fault, at } = await withRelay(flags, async (call, url) => ({ ...(await checkLiveness(call)), at: url }));
  const took = `in ${(performance.now() - begin).toFixed(0)} ms`;
  if (fault) {
    print(
      flags,
      { answered: method, fault },
      `${nameOf(at)} answered fault ${clean(String(fault.code), 100)} ${took}: ${clean(fault.text, 300)}`,
    );
  } else if (method === 'ping') {
    print(flags, value, `${nameOf(at)} answered ${toText(value ?? null)} ${took}`);
  } else {
    print(flags, { answered: method }, `${nameOf(at)} answered ${method} ${took}; it has no ping`);
  }
}

function nameOf(url: URL): string {
  return socketOf(url) ?? url.host;
}

function print(flags: TargetFlags, value: unknown, text: string): void {
  process.stdout.write(`${flags.json === true ? toJson(value) : text}\n`);
}
