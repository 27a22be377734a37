/** The commands that ask a running relay: call, notify, methods, help, ping, satellites, peers, status. */
import type { Command } from 'commander';
import { clean, isDict } from '../message/message.ts';
import type { Value } from '../message/message.ts';
import { prepare } from './command-line.ts';
import { describeMethod, helpText, methodNames, signOfLife, statusOf } from './introspection.ts';
import { addTargetOptions, socketOf, withRelay } from './relay-connection.ts';
import type { Call, TargetFlags } from './relay-connection.ts';
import { dictOfWords, paramsOf, toJson, toTable, toText } from './values.ts';

const ARGUMENTS = `
ARGS are JSON (2, 1.0, "x", true, [1,2], {"a":1}), anything else is text; key=value pairs together are one struct.
1.0 goes out as a double; a whole number beyond 32 bits as <i8>; null as <nil/>. After -- nothing is a flag.`;
const EXIT_CODES = `
Exit codes: 0 answered, 1 a fault or another failure, 2 wrong use, 3 no relay answers there.`;

const SATELLITE_COLUMNS = ['nick', 'addr', 'host_id', 'ping_current', 'ping_avg', 'ping_count', 'ping_fails', 'ctime'];
const PEER_COLUMNS = ['peer', 'state', 'waiting', 'forwarded', 'unreadable', 'refused', 'dropped', 'last_error'];

/** Adds them to the program. */
export function addClientCommands(program: Command): void {
  client(program, 'call <method> [args...]', 'call a method and print its answer', ARGUMENTS).action(
    (method: string, words: string[], flags: TargetFlags) => ask(flags, (call) => call(method, ...paramsOf(words))),
  );
  client(program, 'notify [args...]', 'hand in a dict: co2 notify data=hello', ARGUMENTS).action((words: string[], flags: TargetFlags) => {
    const dict = dictOfWords(words);
    return ask(
      flags,
      (call) => call('notify', dict),
      () => 'accepted',
    );
  });
  client(program, 'methods', 'list all methods').action((flags: TargetFlags) =>
    ask(flags, async (call) => (await methodNames(call)).names),
  );
  client(program, 'help [method]', 'show how a method is called and its documentation; without a name, this help').action(
    async (method: string | undefined, flags: TargetFlags) => {
      if (method === undefined) program.outputHelp();
      else await help(method, flags);
    },
  );
  client(program, 'ping', 'ask whether the relay, or any XML-RPC server, answers').action(ping);
  client(program, 'satellites', 'list the satellites elsewhere').action((flags: TargetFlags) =>
    ask(
      flags,
      (call) => call('relay.get_satellites'),
      (value) => toTable(value, SATELLITE_COLUMNS),
    ),
  );
  client(program, 'peers', 'list the peer relays and the state of the links to them').action((flags: TargetFlags) =>
    ask(
      flags,
      (call) => call('relay.get_peers'),
      (value) => toTable(value, PEER_COLUMNS),
    ),
  );
  client(program, 'reload', 'let the relay read its configuration anew').action((flags: TargetFlags) =>
    ask(flags, (call) => call('relay.reload'), reloadText),
  );
  client(program, 'status', 'show counters, links, plugins; of another server what it says of itself').action(status);
}

function reloadText(value: Value): string {
  const { took_effect: took, needs_restart: restart } = isDict(value) ? value : {};
  const line = (what: string, keys: Value | undefined): string[] =>
    Array.isArray(keys) && keys.length > 0 ? [`${what}: ${keys.join(', ')}`] : [];
  const lines = [...line('took effect', took), ...line('needs a restart', restart)];
  return lines.length === 0 ? 'nothing changed' : lines.join('\n');
}

/** A command with the flags, the help and the errors that all of them share. */
export function client(program: Command, usage: string, description: string, more = ''): Command {
  return addTargetOptions(prepare(program.command(usage)).description(description)).addHelpText('after', `${more}${EXIT_CODES}`);
}

/** Prints what `work` answers. */
export async function ask(
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
  const head = isRelay ? '' : `${nameOf(at)} has no relay.get_status; this is what ${method} says\n`;
  print(flags, isRelay ? value : { answered: method, value }, head + toText(value));
}

async function ping(flags: TargetFlags): Promise<void> {
  const begin = performance.now();
  const { method, value, fault, at } = await withRelay(flags, async (call, url) => ({ ...(await signOfLife(call)), at: url }));
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
