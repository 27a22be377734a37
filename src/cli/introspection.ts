/**
 * What a server says of its methods, by the names that XML-RPC servers have for it (`system.listMethods` and its like), or by those of co2: a relay has
 * both, a supervisord the former, an old co2 server the latter, others a part of them.
 */
import { clean, dictOf, isDict, RelayError } from '../message/message.ts';
import type { Value } from '../message/message.ts';
import { RemoteFault } from '../xmlrpc/xmlrpc.ts';
import type { Call } from './relay-connection.ts';

/** One way in which a method may be called; the types by their XML-RPC names, as the server says them. */
export interface RemoteSignature {
  readonly returns: string;
  readonly params: readonly string[];
}

/** The names of all methods, and whether the server knows the `system.` names. */
export interface MethodNames {
  readonly names: readonly string[];
  readonly family: 'system' | 'co2';
}

// Faults that say "not you" or "not now": asking in another way would be refused again.
const FINAL_FAULTS: ReadonlySet<number> = new Set([401, 403, 413, 429, 503, 504]);

/** A value or a fault. */
type Attempted<T> = { readonly value: T; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: RemoteFault };

/** What `ask` answers, or the fault by which the server says that it knows no such thing. Rejects with everything else. */
export async function attempt<T>(ask: () => Promise<T>): Promise<Attempted<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    if (RemoteFault.is(error) && !FINAL_FAULTS.has(error.code)) return { fault: error };
    throw error;
  }
}

/** Rejects with the fault to `system.listMethods` if no other name helps, or with a RelayError TRANSPORT for an answer that is no list. */
export async function methodNames(call: Call): Promise<MethodNames> {
  const listed = await attempt(() => call('system.listMethods'));
  if (!listed.fault) return { names: textsIn('system.listMethods', listed.value), family: 'system' };
  const named = await attempt(() => call('co2.get_method_names'));
  if (named.fault) throw listed.fault;
  return { names: textsIn('co2.get_method_names', named.value), family: 'co2' };
}

/** The documentation of a method, `''` for none; undefined if the server does not say. */
export async function methodHelp(call: Call, method: string, family: MethodNames['family']): Promise<string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodHelp' : 'co2.get_method_help', method));
  return typeof answer.value === 'string' ? answer.value : undefined;
}

/** The ways to call a method, none where the types are not known, or a text that says how; undefined if the server does not say. */
export async function methodSignatures(
  call: Call,
  method: string,
  family: MethodNames['family'],
): Promise<readonly RemoteSignature[] | string | undefined> {
  const answer = await attempt(() => call(family === 'system' ? 'system.methodSignature' : 'co2.get_method_signature', method));
  if (answer.fault) return undefined;
  // Without signatures the answer is a text, `undef` as a rule.
  if (typeof answer.value === 'string') return family === 'system' ? [] : answer.value;
  return signaturesIn(answer.value);
}

/** A list of signatures, or one signature as a flat list, as supervisord has it. */
function signaturesIn(value: Value): readonly RemoteSignature[] {
  const list = listOf(value);
  const ways = list.length > 0 && list.every((one) => typeof one === 'string') ? [list] : list.map(listOf);
  return ways.flatMap((types) => {
    const [returns, ...params] = types.filter((type) => typeof type === 'string');
    return returns === undefined || params.length !== types.length - 1 ? [] : [{ returns, params }];
  });
}

export function listOf(value: Value | undefined): readonly Value[] {
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

function textsIn(method: string, value: Value): readonly string[] {
  if (!Array.isArray(value)) throw new RelayError('TRANSPORT', `the server answered ${method} with something other than a list`);
  return listOf(value).filter((name) => typeof name === 'string');
}

/** What is said of one parameter. */
export interface DocumentedParam {
  readonly name: string;
  readonly text: string;
}

export interface Documentation {
  /** Without the indentation of the source, and without what is said of parameters and the result. */
  readonly text: string;
  readonly params: readonly DocumentedParam[];
  /** What is said of the result; `''` for nothing. */
  readonly returns: string;
}

// Names of types, in XML-RPC and as programmers say them: the word before a parameter's name.
const TYPE =
  /^(?:int|integer|i4|i8|double|float|bool|boolean|str|string|datetime|dateTime\.iso8601|base64|binary|array|list|struct|dict|nil|any)$/i;
const TAG = /^@(param|returns?)\b[ \t]*(.*)$/;
// Longer documentation is a book: nobody reads it in a terminal.
const MAX_LENGTH = 20_000;

/** Takes a text apart. */
export function readDocumentation(help: string): Documentation {
  const text: string[] = [];
  const tags: { readonly kind: string; said: string }[] = [];
  let isInTag = false;
  for (const line of withoutIndent(help.slice(0, MAX_LENGTH))) {
    const [, kind, said = ''] = TAG.exec(line.trimStart()) ?? [];
    const last = tags.at(-1);
    if (kind !== undefined) tags.push({ kind, said });
    // A tag goes on up to an empty line.
    else if (last && isInTag && line !== '') last.said += ` ${line.trim()}`;
    else text.push(line);
    isInTag = kind !== undefined || (isInTag && line !== '');
  }
  return {
    text: text
      .join('\n')
      .replace(/\n{3,}/g, '\n\n')
      .trim(),
    params: tags.filter(({ kind }) => kind === 'param').flatMap(({ said }) => paramIn(said)),
    returns: tags
      .filter(({ kind }) => kind !== 'param')
      .map(({ said }) => resultIn(said))
      .join(' '),
  };
}

/** Lines without the indentation that all but the first share, as Python's inspect.cleandoc has it. */
function withoutIndent(text: string): string[] {
  const [first = '', ...rest] = text.replaceAll('\t', '    ').split(/\r\n|[\n\r\u2028\u2029]/);
  const indents = rest.filter((line) => line.trim() !== '').map((line) => line.length - line.trimStart().length);
  const indent = indents.reduce((least, one) => Math.min(least, one), Infinity);
  return [first.trim(), ...rest.map((line) => line.slice(Math.min(indent, line.length)).trimEnd())];
}

/** `TYPE NAME text`, or `NAME text`. */
function paramIn(said: string): readonly DocumentedParam[] {
  const words = said.trim().split(/\s+/);
  const [name = '', ...text] = TYPE.test(words[0] ?? '') && words.length > 1 ? words.slice(1) : words;
  return name === '' ? [] : [{ name, text: text.join(' ') }];
}

/** `TYPE text`, `TYPE result   text`, or `text`. */
function resultIn(said: string): string {
  const [, first = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(said.trim()) ?? [];
  const text = TYPE.test(first) ? rest.replace(/^(?:result +|\w+ {2,})(?=\S)/, '') : said;
  return text.trim().replace(/\s+/g, ' ');
}

/** How a method is called, and its documentation. */
export interface MethodAccount {
  /** A line for each way to call it. */
  readonly usage: string;
  /** As the server sent it; `''` for none. */
  readonly help: string;
  /** What people are to know besides. */
  readonly note?: string;
}

/** Which method gave a sign of life, and what `ping` answered: a value, or a fault if the server knows no other that was tried. */
export interface SignOfLife {
  readonly method: string;
  readonly value?: Value;
  /** `code` is the text that a server sent where others send a number. */
  readonly fault?: { readonly code: number | string; readonly text: string };
}

const NAME_LISTS = ['system.listMethods', 'co2.get_method_names'] as const;
// The first that a server lists is shown: of a relay, an old co2 server, supervisord, aria2, and others.
const STATUS = ['system.get_properties', 'supervisor.getState', 'aria2.getGlobalStat', 'system.getCapabilities'] as const;

/** Rejects with the server's fault, or with a RelayError NO_SUCH_METHOD, if it has no such method. */
export async function describeMethod(call: Call, method: string): Promise<MethodAccount> {
  const signatures = await methodSignatures(call, method, 'system');
  const help = await attempt(() => call('system.methodHelp', method));
  if (signatures !== undefined || typeof help.value === 'string') return account(method, signatures, help.value);
  const [usage, text] = [await methodSignatures(call, method, 'co2'), await methodHelp(call, method, 'co2')];
  if (usage !== undefined || text !== undefined) return account(method, usage, text);
  const known = await attempt(() => methodNames(call));
  if (known.value?.names.includes(method) === true)
    return { ...account(method, [], ''), note: `the server has ${method}, but no documentation of its methods` };
  // A fault that says the name is about the method, another one about system.methodHelp.
  if (help.fault && (!known.value || help.fault.text.includes(method))) throw help.fault;
  throw new RelayError('NO_SUCH_METHOD', `the server has no method '${clean(method, 100)}'; co2 methods lists those that it has`);
}

/** Asks in ever simpler ways. Any answer of XML-RPC is a sign of life. */
export async function signOfLife(call: Call): Promise<SignOfLife> {
  const ping = await attempt(() => call('ping'));
  if (!ping.fault) return { method: 'ping', value: ping.value };
  for (const method of NAME_LISTS) {
    const { fault } = await attempt(() => call(method));
    if (!fault) return { method };
  }
  const { code, faultCode, text } = ping.fault;
  return { method: 'ping', fault: { code: typeof faultCode === 'string' ? faultCode : code, text } };
}

/** What a server without relay.get_status says of itself, and by which method; rejects with its fault if it says nothing. */
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

function account(method: string, signatures: readonly RemoteSignature[] | string | undefined, help: Value | undefined): MethodAccount {
  const text = typeof help === 'string' ? help : '';
  if (typeof signatures === 'string') return { usage: signatures, help: text };
  const { params: documented } = readDocumentation(text);
  const ways = (signatures ?? []).map(({ returns, params }) => {
    const named = documented.length === params.length ? params.map((type, index) => `${type} ${documented[index]?.name ?? ''}`) : params;
    return `${returns} ${method}(${named.join(', ')})`;
  });
  return { usage: ways.length === 0 ? `${method}(...)` : ways.join('\n'), help: text };
}

/** For people: the text without the indentation of its source, the parameters below each other. */
export function helpText({ usage, help, note }: MethodAccount): string {
  const { text, params, returns } = readDocumentation(help);
  const rows = [...params.map(({ name, text: said }) => [name, said] as const), ...(returns === '' ? [] : [['returns', returns] as const])];
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  const table = rows.map(([name, said]) => `  ${name.padEnd(width)}  ${said}`.trimEnd()).join('\n');
  return [usage, text, table, note].filter(Boolean).join('\n\n');
}

export interface DescribedMethod {
  readonly name: string;
  /** `''` if there is none. */
  readonly help: string;
  /** Empty where the types are not known. */
  readonly signatures: readonly RemoteSignature[];
}

// Ten times the largest server that we know; protects the disk and the compiler of whoever asks a server that is not his.
const MAX_METHODS = 10_000;
const MAX_NAME = 255;
// Questions under way at once, where each method is asked for by itself.
const AT_ONCE = 8;

/** All methods, sorted by name, each once. Rejects as `call` does, or with a RelayError TRANSPORT or LIMIT for an answer that cannot be. */
export async function readMethods(call: Call): Promise<readonly DescribedMethod[]> {
  const described = await attempt(() => call('system.describeMethods'));
  const methods = Array.isArray(described.value) ? listOf(described.value).flatMap(describedMethod) : await askEach(call);
  const byName = new Map<string, DescribedMethod>();
  for (const method of methods) if (!byName.has(method.name)) byName.set(method.name, method);
  return bounded([...byName.values()]).sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function askEach(call: Call): Promise<readonly DescribedMethod[]> {
  const { names, family } = await methodNames(call);
  const known = bounded(names.map((name) => ({ name })));
  const methods: DescribedMethod[] = [];
  for (let begin = 0; begin < known.length; begin += AT_ONCE) {
    const some = known.slice(begin, begin + AT_ONCE);
    methods.push(...(await Promise.all(some.map(({ name }) => askFor(call, name, family)))));
  }
  return methods;
}

async function askFor(call: Call, name: string, family: MethodNames['family']): Promise<DescribedMethod> {
  const help = await methodHelp(call, name, family);
  const signatures = await methodSignatures(call, name, family);
  // What co2 says of it is a text for people.
  return { name, help: help ?? '', signatures: typeof signatures === 'string' ? [] : (signatures ?? []) };
}

/** One method of system.describeMethods; nothing if that has no name. */
function describedMethod(value: Value): readonly DescribedMethod[] {
  const { name, help, signatures } = isDict(value) ? value : {};
  if (typeof name !== 'string') return [];
  return [{ name, help: typeof help === 'string' ? help : '', signatures: listOf(signatures).flatMap(describedSignature) }];
}

function describedSignature(value: Value): readonly RemoteSignature[] {
  const { returns, params } = isDict(value) ? value : {};
  const list = listOf(params);
  const types = list.map((param) => (isDict(param) ? param.type : undefined)).filter((type) => typeof type === 'string');
  return typeof returns === 'string' && types.length === list.length ? [{ returns, params: types }] : [];
}

function bounded<T extends { readonly name: string }>(methods: readonly T[]): T[] {
  if (methods.length > MAX_METHODS)
    throw new RelayError('LIMIT', `the server names ${methods.length} methods; a client is made of at most ${MAX_METHODS}`);
  const long = methods.find(({ name }) => name.length > MAX_NAME);
  if (!long) return [...methods];
  throw new RelayError('LIMIT', `the server names a method '${clean(long.name, 50)}' of more than ${MAX_NAME} characters`);
}
