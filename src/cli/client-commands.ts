/** The commands that ask a running relay: call, notify, methods, help, ping, satellites, peers, status. */
import type { Command } from 'commander';
import { isDict } from '../message/message.ts';
import type { Value } from '../message/message.ts';
import { socketOf } from './find-relay.ts';
import { toJson, toTable, toText } from './show.ts';
import { addTargetOptions, withRelay } from './target.ts';
import type { Call, TargetFlags } from './target.ts';
import { prepare } from './wrong-use.ts';
import { dictOfWords, paramsOf } from './words.ts';

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
  client(program, 'methods', 'list all methods').action((flags: TargetFlags) => ask(flags, (call) => call('co2.get_method_names')));
  client(program, 'help [method]', 'show how a method is called and its documentation; without a name, this help').action(
    async (method: string | undefined, flags: TargetFlags) => {
      if (method === undefined) program.outputHelp();
      else await help(method, flags);
    },
  );
  client(program, 'ping', 'ask whether the relay answers').action(ping);
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
  client(program, 'status', 'show counters, links, plugins').action((flags: TargetFlags) => ask(flags, (call) => call('relay.get_status')));
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
  const [usage, text] = await withRelay(flags, async (call) => [
    await call('co2.get_method_signature', method),
    await call('co2.get_method_help', method),
  ]);
  print(
    flags,
    { method, usage: usage ?? '', help: text ?? '' },
    [usage, text]
      .map((part) => toText(part ?? ''))
      .filter(Boolean)
      .join('\n\n'),
  );
}

async function ping(flags: TargetFlags): Promise<void> {
  const begin = performance.now();
  const { value, url } = await withRelay(flags, async (call, at) => ({ value: await call('ping'), url: at }));
  print(flags, value, `${socketOf(url) ?? url.host} answered ${toText(value)} in ${(performance.now() - begin).toFixed(0)} ms`);
}

function print(flags: TargetFlags, value: unknown, text: string): void {
  process.stdout.write(`${flags.json === true ? toJson(value) : text}\n`);
}
