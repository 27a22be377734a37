/**
 * Introspection of any XML-RPC server: its methods, their documentation, whether it is alive and its status. A relay supports both the
 * standard names (`system.listMethods`) and those of co2; supervisord has the former, an old co2 server the latter, other servers some.
 */
import { clean, RelayError, typedParams } from '../core/core.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';
import { RemoteFault } from '../client/internal.ts';
import type { Call } from './relay-connection.ts';

/** One signature of a method; the types are XML-RPC names as the server sent them. */
export interface RemoteSignature {
  readonly returns: string;
  readonly params: readonly string[];
  /** The names of the parameters, `''` where the server does not say; undefined if it names none. */
  readonly names?: readonly string[];
}

/** The names of all methods, and which family of introspection methods the server supports. */
export interface MethodNames {
  readonly names: readonly string[];
  readonly family: 'system' | 'co2';
}

// Faults for missing rights or overload: another method would fail in the same way.
const FINAL_FAULTS: ReadonlySet<number> = new Set([401, 403, 413, 429, 503, 504]);

/** The outcome of a request: a value or a fault. */
type Attempted<T> = { readonly value: T; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: RemoteFault };

/** The result of `request`, or the fault of a server that does not support it. Rejects with every other error. */
async function attempt<T>(request: () => Promise<T>): Promise<Attempted<T>> {
  try {
    return { value: await request() };
  } catch (error) {
    if (RemoteFault.is(error) && !FINAL_FAULTS.has(error.code)) return { fault: error };
    throw error;
  }
}

/** Lists the methods. Rejects with the fault of `system.listMethods`, or with a RelayError TRANSPORT if the result is not a list. */
export async function methodNames(call: Call): Promise<MethodNames> {
  const listed = await attempt(() => call('system.listMethods'));
  if (!listed.fault) return { names: textsIn('system.listMethods', listed.value), family: 'system' };
  const named = await attempt(() => call('co2.get_method_names'));
  if (named.fault) throw listed.fault;
  return { names: textsIn('co2.get_method_names', named.value), family: 'co2' };
}

/** The documentation of a method, `''` if there is none; undefined if the server does not provide documentation. */
async function methodHelp(call: Call, method: string, family: MethodNames['family']): Promise<string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodHelp' : 'co2.get_method_help', method));
  return typeof answer.value === 'string' ? answer.value : undefined;
}

/** The signatures of a method (none if the types are unknown), or a text about them; undefined if the server does not provide any. */
async function methodSignatures(
  call: Call,
  method: string,
  family: MethodNames['family'],
): Promise<readonly RemoteSignature[] | string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodSignature' : 'co2.get_method_signature', method));
  if (answer.fault) return undefined;
  // Without signatures the result is a string, usually `undef`.
  if (typeof answer.value === 'string') return family === 'system' ? [] : answer.value;
  return signaturesIn(answer.value);
}

/** Accepts a list of signatures, or one signature as a flat list, which supervisord sends. */
function signaturesIn(value: Value): readonly RemoteSignature[] {
  const list = listOf(value);
  const ways = list.length > 0 && list.every((one) => typeof one === 'string') ? [list] : list.map(listOf);
  return ways.flatMap((types) => {
    const [returns, ...params] = types.filter((type) => typeof type === 'string');
    return returns === undefined || params.length !== types.length - 1 ? [] : [{ returns, params }];
  });
}

function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

function textsIn(method: string, value: Value): readonly string[] {
  if (!Array.isArray(value)) throw new RelayError('TRANSPORT', `the server's response to ${method} is not a list`);
  return listOf(value).filter((name) => typeof name === 'string');
}

/** The documentation of a parameter. */
interface DocumentedParam {
  readonly name: string;
  readonly text: string;
}

/** A parsed documentation text. */
interface Documentation {
  /** Without the indentation of the source and without the tags. */
  readonly text: string;
  readonly params: readonly DocumentedParam[];
  /** The documentation of the result, `''` if there is none. */
  readonly returns: string;
}

// Names of types, in XML-RPC and in programming languages, that may precede the name of a parameter.
const TYPE =
  /^(?:int|integer|i4|i8|double|float|bool|boolean|str|string|datetime|dateTime\.iso8601|base64|binary|array|list|struct|dict|nil|any)$/i;
const TAG = /^@(param|returns?)\b[ \t]*(.*)$/;
// Longer documentation is not readable in a terminal.
const MAX_LENGTH = 20_000;

/**
 * Parses documentation as servers send it: often a Python docstring, its lines indented, with `@param TYPE NAME text` and
 * `@return TYPE text`.
 */
export function readDocumentation(help: string): Documentation {
  const text: string[] = [];
  const tags: { readonly kind: string; content: string }[] = [];
  let isInTag = false;
  for (const line of withoutIndent(help.slice(0, MAX_LENGTH))) {
    const [, kind, content = ''] = TAG.exec(line.trimStart()) ?? [];
    const last = tags.at(-1);
    if (kind !== undefined) tags.push({ kind, content });
    // A tag extends to the next empty line.
    else if (last && isInTag && line !== '') last.content += ` ${line.trim()}`;
    else text.push(line);
    isInTag = kind !== undefined || (isInTag && line !== '');
  }
  return {
    text: text
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim(),
    params: tags.filter(({ kind }) => kind === 'param').flatMap(({ content }) => paramIn(content)),
    returns: tags
      .filter(({ kind }) => kind !== 'param')
      .map(({ content }) => resultIn(content))
      .join(' '),
  };
}

/** Removes the indentation that all lines but the first share, like Python's inspect.cleandoc. */
function withoutIndent(text: string): string[] {
  const [first = '', ...rest] = text.replaceAll('\t', '    ').split(/\r\n|[\n\r\u2028\u2029]/);
  const indents = rest.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const indent = indents.reduce((least, one) => Math.min(least, one), Infinity);
  return [first.trim(), ...rest.map((line) => line.slice(Math.min(indent, line.length)).trimEnd())];
}

/** Parses `TYPE NAME text` or `NAME text`. */
function paramIn(content: string): readonly DocumentedParam[] {
  const words = content.trim().split(/\s+/);
  const [name = '', ...text] = TYPE.test(words[0] ?? '') && words.length > 1 ? words.slice(1) : words;
  return name === '' ? [] : [{ name, text: text.join(' ') }];
}

/** Parses `TYPE text`, `TYPE result   text` or `text`. */
function resultIn(content: string): string {
  const [, first = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(content.trim()) ?? [];
  const text = TYPE.test(first) ? rest.replace(/^(?:result +|\w+ {2,})(?=\S)/, '') : content;
  return text.trim().replace(/\s+/g, ' ');
}

/** The usage and documentation of a method. */
interface MethodDescription {
  /** One line per signature. */
  readonly usage: string;
  /** As the server sent it, `''` if there is none. */
  readonly help: string;
  /** A remark for the user. */
  readonly note?: string;
}

/** The method that responded, with the result of `ping`: a value, or a fault if the server supports none of the methods. */
interface Liveness {
  readonly method: string;
  readonly value?: Value;
  /** `code` is a string if the server sent a string in place of a number. */
  readonly fault?: { readonly code: number | string; readonly text: string };
}

const NAME_LISTS = ['system.listMethods', 'co2.get_method_names'] as const;
// Status methods of old co2 servers, supervisord, aria2 and others. The first one that the server lists is used.
const STATUS = ['system.get_properties', 'supervisor.getState', 'aria2.getGlobalStat', 'system.getCapabilities'] as const;

/** Describes a method. Rejects with the server's fault or a RelayError NO_SUCH_METHOD if it does not exist. */
export async function describeMethod(call: Call, method: string): Promise<MethodDescription> {
  const signatures = await methodSignatures(call, method, 'system');
  const help = await attempt(() => call('system.methodHelp', method));
  if (signatures !== undefined || typeof help.value === 'string')
    return descriptionOf(method, await withNames(call, method, signatures, help.value), help.value);
  const [usage, text] = [await methodSignatures(call, method, 'co2'), await methodHelp(call, method, 'co2')];
  if (usage !== undefined || text !== undefined) return descriptionOf(method, usage, text);
  const known = await attempt(() => methodNames(call));
  if (known.value?.names.includes(method) === true)
    return { ...descriptionOf(method, [], ''), note: `the server provides no documentation for ${method}` };
  // A fault that contains the name is about the method; any other is about system.methodHelp.
  if (help.fault && (!known.value || help.fault.text.includes(method))) throw help.fault;
  throw new RelayError('NO_SUCH_METHOD', `the server has no method '${clean(method, 100)}'; list its methods with co2 methods`);
}

/** Adds the names of the parameters, which the standard methods lack, if the server has system.describeMethods, and the help has none. */
async function withNames(
  call: Call,
  method: string,
  signatures: readonly RemoteSignature[] | string | undefined,
  help: Value | undefined,
): Promise<readonly RemoteSignature[] | string | undefined> {
  if (typeof signatures === 'string' || !signatures?.some(({ params }) => params.length > 0)) return signatures;
  if (typeof help === 'string' && readDocumentation(help).params.length > 0) return signatures;
  const described = await attempt(() => call('system.describeMethods', [method]));
  const [found] = listOf(described.value).flatMap(describedMethod);
  return found?.name === method && found.signatures.length > 0 ? found.signatures : signatures;
}

/** Tries increasingly simple methods; any XML-RPC response proves that the server is alive. */
export async function checkLiveness(call: Call): Promise<Liveness> {
  const ping = await attempt(() => call('ping'));
  if (!ping.fault) return { method: 'ping', value: ping.value };
  for (const method of NAME_LISTS) {
    const { fault } = await attempt(() => call(method));
    if (!fault) return { method };
  }
  const { code, faultCode, text } = ping.fault;
  return { method: 'ping', fault: { code: typeof faultCode === 'string' ? faultCode : code, text } };
}

/** The status of a server and the method that returned it; rejects with its fault if it supports none of the methods. */
export async function statusOf(call: Call): Promise<{ readonly method: string; readonly value: Value }> {
  const own = await attempt(() => call('relay.get_status'));
  if (!own.fault) return { method: 'relay.get_status', value: own.value };
  const known = await attempt(() => methodNames(call));
  if (!known.value) throw own.fault;
  const { names, family } = known.value;
  for (const method of STATUS) {
    if (!names.includes(method)) continue;
    const { value, fault } = await attempt(() => call(method));
    if (!fault) return { method, value };
  }
  return { method: family === 'system' ? 'system.listMethods' : 'co2.get_method_names', value: dictOf([['methods', names.length]]) };
}

function descriptionOf(
  method: string,
  signatures: readonly RemoteSignature[] | string | undefined,
  help: Value | undefined,
): MethodDescription {
  const text = typeof help === 'string' ? help : '';
  if (typeof signatures === 'string') return { usage: signatures, help: text };
  const { params: documented } = readDocumentation(text);
  const longest = Math.max(...(signatures ?? []).map(({ params }) => params.length));
  const documentedNames = documented.length === longest ? documented.map(({ name }) => name) : [];
  const ways = (signatures ?? []).map((signature) => usageOf(method, { names: documentedNames, ...signature }));
  return { usage: ways.length === 0 ? `${method}(...)` : ways.join('\n'), help: text };
}

/** `int example.echo.add(a: int, b: int)` */
function usageOf(method: string, { returns, params, names = [] }: RemoteSignature): string {
  return `${returns} ${method}(${typedParams(params, names)})`;
}

/** How these methods are called, a line for each way, in the order of the names; only the names if the server does not describe them. */
export async function usages(call: Call, names: readonly string[]): Promise<readonly string[]> {
  const described = await attempt(() => call('system.describeMethods', names));
  const methods = new Map(
    listOf(described.value)
      .flatMap(describedMethod)
      .map((method) => [method.name, method]),
  );
  return names.flatMap((name) => {
    const { signatures = [] } = methods.get(name) ?? {};
    return signatures.length === 0 ? [name] : signatures.map((signature) => usageOf(name, signature));
  });
}

/** Formats the description as text, with the parameters in a table. */
export function helpText({ usage, help, note }: MethodDescription): string {
  const { text, params, returns } = readDocumentation(help);
  const rows = [
    // A name alone is in the usage.
    ...params.filter(({ text: content }) => content !== '').map(({ name, text: content }) => [name, content] as const),
    ...(returns === '' ? [] : [['returns', returns] as const]),
  ];
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const table = rows.map(([name, content]) => `  ${name.padEnd(width)}  ${content}`.trimEnd()).join('\n');
  return [usage, text, table, note].filter(Boolean).join('\n\n');
}

/** A method with its documentation and signatures. */
export interface DescribedMethod {
  readonly name: string;
  /** `''` if there is none. */
  readonly help: string;
  /** Empty if the types are unknown. */
  readonly signatures: readonly RemoteSignature[];
}

// Ten times the largest known server; protects the user's disk and compiler from an untrusted server.
const MAX_METHODS = 10_000;
const MAX_NAME = 255;
// The number of concurrent requests if every method needs a separate one.
const AT_ONCE = 8;

/** Reads all methods, unique and sorted by name. Rejects like `call`, or with a RelayError TRANSPORT or LIMIT for an invalid response. */
export async function readMethods(call: Call): Promise<readonly DescribedMethod[]> {
  const described = await attempt(() => call('system.describeMethods'));
  const methods = Array.isArray(described.value) ? listOf(described.value).flatMap(describedMethod) : await describeEach(call);
  const byName = new Map<string, DescribedMethod>();
  for (const method of methods) if (!byName.has(method.name)) byName.set(method.name, method);
  return bounded([...byName.values()]).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function describeEach(call: Call): Promise<readonly DescribedMethod[]> {
  const { names, family } = await methodNames(call);
  const known = bounded(names.map((name) => ({ name })));
  const methods: DescribedMethod[] = [];
  for (let begin = 0; begin < known.length; begin += AT_ONCE) {
    const some = known.slice(begin, begin + AT_ONCE);
    methods.push(...(await Promise.all(some.map(({ name }) => describeOne(call, name, family)))));
  }
  return methods;
}

async function describeOne(call: Call, name: string, family: MethodNames['family']): Promise<DescribedMethod> {
  const help = await methodHelp(call, name, family);
  const signatures = await methodSignatures(call, name, family);
  // The co2 methods return text for people.
  return { name, help: help ?? '', signatures: typeof signatures === 'string' ? [] : (signatures ?? []) };
}

/** Parses one method of system.describeMethods. Returns none if it has no name. */
function describedMethod(value: Value): readonly DescribedMethod[] {
  const { name, help, signatures } = isDict(value) ? value : {};
  if (typeof name !== 'string') return [];
  return [{ name, help: typeof help === 'string' ? help : '', signatures: listOf(signatures).flatMap(describedSignature) }];
}

function describedSignature(value: Value): readonly RemoteSignature[] {
  const { returns, params } = isDict(value) ? value : {};
  const list = listOf(params);
  const types = list.map((param) => (isDict(param) ? param.type : undefined)).filter((type) => typeof type === 'string');
  const names = list.map((param) => (isDict(param) && typeof param.name === 'string' ? clean(param.name, MAX_NAME) : ''));
  return typeof returns === 'string' && types.length === list.length ? [{ returns, params: types, names }] : [];
}

function bounded<T extends { readonly name: string }>(methods: readonly T[]): T[] {
  if (methods.length > MAX_METHODS)
    throw new RelayError('LIMIT', `the server has ${methods.length} methods; a client can have at most ${MAX_METHODS}`);
  const long = methods.find(({ name }) => name.length > MAX_NAME);
  if (!long) return [...methods];
  throw new RelayError('LIMIT', `the server has a method '${clean(long.name, 50)}' with a name longer than ${MAX_NAME} characters`);
}
