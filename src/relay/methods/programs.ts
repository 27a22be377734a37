/** The methods for programs that the relay runs: they call other methods, write to the log, and fetch calls without a server. */
import { clean, RelayError } from '../../core/core.ts';
import type { ItemBatch, ProgramAnswer, ProgramCall } from '../../plugin-host/plugin-host.ts';
import { dictOf, isDict } from '../../values/values.ts';
import type { Dict, Sendable, Value } from '../../values/values.ts';
import type { Caller, Dispatcher, Method, MethodRegistry, SatelliteCall } from '../../rpc/rpc.ts';
import { refuseNesting } from '../../rpc/rpc.ts';

/**
 * The functions of the plugin host for its programs. Each throws a RelayError INVALID_PARAMS if there is no program of this name, or if it
 * has no such call.
 */
export interface ProgramPort {
  /**
   * The next call for a program without a server; undefined if none arrives within `waitMs`, the program stops, or `gone` is aborted, which
   * leaves the call in the queue.
   */
  nextCall(program: string, waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined>;
  answerCall(program: string, id: string, answer: ProgramAnswer): void;
  programLog(program: string, level: LogLevel, text: string): void;
  /** Resolves when the items are processed; to false if no more are wanted. */
  pushItems(program: string, stream: string, batch: ItemBatch): Promise<boolean>;
}

/** How calls of programs, and calls to nodes, are made. */
type Calls = Pick<Dispatcher, 'callAs' | 'callNode'>;

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
type LogLevel = (typeof LEVELS)[number];

/** Default ms that `plugin.next` waits: less than the 30 s after which many clients time out. */
const DEFAULT_WAIT_MS = 25_000;
/** Ends waits that a program has forgotten. */
const MAX_WAIT_MS = 60_000;

/** Registers the methods. */
export function addProgramMethods(registry: MethodRegistry, port: ProgramPort, dispatcher: Calls): void {
  registry.add(relayCall(dispatcher));
  for (const method of [...outgoingMethods(port), ...pollingMethods(port)]) {
    const { name, invoke } = method;
    registry.add({
      ...method,
      invoke: (params, caller) => {
        requirePlugin(name, caller);
        return invoke(params, caller);
      },
    });
  }
}

/** Two methods in one: calls of plugins, which have no node at first, and calls of everybody to a node. */
function relayCall(dispatcher: Calls): Method {
  return {
    name: 'relay.call',
    access: 'call',
    isOfConnection: true,
    help: 'Calls a method of a node, which is named by its id or nick, and returns its result: relay.call(node, method, params, timeout_ms). The other node decides what may be called (access.peer). The time limit is 30000 ms by default, at most 600000. For plugins also relay.call(method, params, options): calls a method on behalf of the plugin. The struct of options may have the members node, and plain_numbers: with true, the signature of the method decides which numbers are doubles or i8.',
    signatures: [
      ['any', 'string', 'string', 'array'],
      ['any', 'string', 'string', 'array', 'int'],
      ['any', 'string', 'array'],
      ['any', 'string', 'array', 'struct'],
    ],
    invoke: (params, caller) =>
      typeof params[1] === 'string' ? callNode(dispatcher, params, caller) : callForPlugin(dispatcher, params, caller),
  };
}

function callNode(dispatcher: Calls, [node, method, params = [], timeoutMs, ...more]: readonly Value[], caller: Caller): Promise<Sendable> {
  if (typeof node !== 'string' || typeof method !== 'string' || !Array.isArray(params) || more.length > 0)
    throw wrong('relay.call takes the id or nick of a node, the name of a method, an array of its parameters, and ms');
  if (timeoutMs !== undefined && typeof timeoutMs !== 'number') throw wrong('the time limit of relay.call is a number of ms');
  const exact = (caller.exactOf(params as readonly Value[]) as readonly Sendable[] | undefined) ?? (params as readonly Value[]);
  return dispatcher.callNode({ node, method, params: exact, timeoutMs }, caller);
}

function callForPlugin(
  dispatcher: Calls,
  [name, params = [], options = dictOf(), ...more]: readonly Value[],
  caller: Caller,
): Promise<Sendable> {
  if (typeof name !== 'string' || !Array.isArray(params) || !isDict(options) || more.length > 0)
    throw wrong('relay.call takes the id or nick of a node, the name of a method, and an array of its parameters');
  requirePlugin('relay.call without a node', caller);
  if (name === 'relay.call') refuseNesting(name);
  return dispatcher.callAs(nameOf(caller), name, params as readonly Value[], callOptions(options), caller.exactOf);
}

/** The methods by which a program logs, and pushes items. */
function outgoingMethods(port: ProgramPort): readonly Method[] {
  return [
    {
      name: 'relay.log',
      access: 'call',
      help: "For plugins: writes a text to the log, under the plugin's name. The level is debug, info, warn or error. Returns true.",
      signatures: [['boolean', 'string', 'string']],
      paramNames: ['level', 'text'],
      invoke: ([level, text, ...more], caller) => {
        const known = LEVELS.find((one) => one === level);
        if (known === undefined || typeof text !== 'string' || more.length > 0)
          throw wrong(`relay.log takes a level (${LEVELS.join(', ')}) and a text`);
        port.programLog(nameOf(caller), known, text);
        return true;
      },
    },
    {
      name: 'relay.push_items',
      access: 'call',
      help: 'For plugins: pushes the next items of a stream that the relay opened with plugin.execute, and answers when they are processed; then the next ones may be pushed. Returns false if no more are wanted: the work was canceled. The struct of options ends the stream: end: true, or error: a text that says why it failed.',
      signatures: [
        ['boolean', 'string', 'array'],
        ['boolean', 'string', 'array', 'struct'],
      ],
      paramNames: ['stream', 'items', 'options'],
      invoke: (params, caller) => {
        const [stream, items, options = dictOf(), ...more] = params;
        if (typeof stream !== 'string' || !Array.isArray(items) || !isDict(options) || more.length > 0)
          throw wrong('relay.push_items takes the id of a stream, an array of items, and a struct of options');
        const exact = (caller.exactOf(params) as readonly Sendable[] | undefined)?.[1] ?? items;
        return port.pushItems(nameOf(caller), stream, { items: exact as readonly Sendable[], end: endOf(options) });
      },
    },
  ];
}

/** The methods by which a program without a server fetches and answers calls. */
function pollingMethods(port: ProgramPort): readonly Method[] {
  const answer = (caller: Caller, id: Value | undefined, answered: ProgramAnswer): boolean => {
    if (typeof id !== 'string') throw wrong('the first parameter is the id of the call, which plugin.next returned');
    port.answerCall(nameOf(caller), id, answered);
    return true;
  };
  return [
    {
      name: 'plugin.next',
      access: 'call',
      help: `For plugins without a server: waits for the next call and returns {id, method, params}, or an empty struct if none arrives within the given ms (default ${DEFAULT_WAIT_MS}, at most ${MAX_WAIT_MS}).`,
      signatures: [['struct'], ['struct', 'int']],
      paramNames: ['wait_ms'],
      invoke: async ([waitMs = DEFAULT_WAIT_MS, ...more], caller) => {
        if (typeof waitMs !== 'number' || !(waitMs >= 0 && waitMs <= MAX_WAIT_MS) || more.length > 0)
          throw wrong(`plugin.next takes the ms to wait, 0 to ${MAX_WAIT_MS}`);
        const call = await port.nextCall(nameOf(caller), waitMs, caller.gone);
        return call ? { id: call.id, method: call.method, params: call.params } : {};
      },
    },
    {
      name: 'plugin.answer',
      access: 'call',
      help: 'For plugins without a server: answers the call with this id by a result. Returns true.',
      signatures: [['boolean', 'string', 'any']],
      paramNames: ['id', 'result'],
      invoke: (params, caller) => {
        const [id, value] = params;
        if (value === undefined || params.length !== 2) throw wrong('plugin.answer takes the id of a call and its result');
        const [, exact = value] = (caller.exactOf(params) as readonly Sendable[] | undefined) ?? params;
        return answer(caller, id, { value, exact });
      },
    },
    {
      name: 'plugin.answer_fault',
      access: 'call',
      help: 'For plugins without a server: answers the call with this id by a fault with a code and a text. Returns true.',
      signatures: [['boolean', 'string', 'int', 'string']],
      paramNames: ['id', 'code', 'text'],
      invoke: ([id, code, text, ...more], caller) => {
        if (typeof code !== 'number' || (code | 0) !== code || typeof text !== 'string' || more.length > 0)
          throw wrong('plugin.answer_fault takes the id of a call, a code and a text');
        return answer(caller, id, { fault: { code, text } });
      },
    },
  ];
}

function endOf({ end = false, error, ...others }: Dict): ItemBatch['end'] {
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw wrong(`relay.push_items has no option ${clean(unknown, 40)}; its options are end and error`);
  if (error !== undefined && typeof error !== 'string') throw wrong('the option error is a text that says why the work failed');
  if (typeof end !== 'boolean') throw wrong('the option end is true or false');
  if (error !== undefined) return { error: clean(error, 2_000) };
  return end ? true : undefined;
}

function callOptions({ node, plain_numbers: plainNumbers }: Dict): SatelliteCall {
  if (node !== undefined && typeof node !== 'string') throw wrong('the option node is the name of a node, a string');
  if (plainNumbers !== undefined && typeof plainNumbers !== 'boolean') throw wrong('the option plain_numbers is true or false');
  return { node, plainNumbers };
}

/** Checks the role rather than the access class: a caller that is not a plugin may have the class too. */
function requirePlugin(method: string, { role }: Caller): void {
  if (role.kind === 'plugin') return;
  throw new RelayError('FORBIDDEN', `only plugins that the relay runs may call ${method}, with the token from CO2_RELAY_URL`);
}

function nameOf({ role }: Caller): string {
  return role.kind === 'plugin' ? role.name : '';
}

function wrong(text: string): RelayError {
  return new RelayError('INVALID_PARAMS', text);
}
