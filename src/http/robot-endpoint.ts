/** `POST /robot`: the exposed methods as keywords for the Remote library of Robot Framework. */
import { RelayError, clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Caller, Dispatcher, Method } from '../rpc/rpc.ts';
import { cleanUnsendable } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../xmlrpc/xmlrpc.ts';
import type { CallOutcome, XmlCalls } from './endpoint.ts';
import { xmlCalls } from './xmlrpc-endpoint.ts';
import type { XmlRpcEndpointParts } from './xmlrpc-endpoint.ts';

export interface RobotEndpointParts extends XmlRpcEndpointParts {
  readonly dispatcher: XmlRpcEndpointParts['dispatcher'] & Pick<Dispatcher, 'registry' | 'may'>;
}

// Robot uses Python's client, which reads both extensions.
const READS = { nil: true, i8: true };
const INTRO =
  "Calls methods of a co2-relay. A keyword is a method of a plugin; its tags are the plugin's module and the right that a caller needs.";

const ABOUT_ONE: ReadonlyMap<string, keyof KeywordDescription> = new Map([
  ['get_keyword_arguments', 'args'],
  ['get_keyword_types', 'types'],
  ['get_keyword_documentation', 'doc'],
  ['get_keyword_tags', 'tags'],
]);

/** Answers the requests of Robot. A failed keyword is a result with status FAIL, not a fault. */
export function robotCalls(parts: RobotEndpointParts): XmlCalls {
  return xmlCalls(parts, {
    reads: READS,
    call: (call, caller, { outcome }) =>
      call.methodName === 'run_keyword' ? run(parts, outcome, call, caller) : describe(parts, call, caller),
    answerFor: ({ methodName }, { text }) => (methodName === 'run_keyword' ? failed(cleanUnsendable(text)) : undefined),
  });
}

/** Runs a keyword: an ordinary call, which needs the rights of its method and counts once for the rate limit. */
async function run({ dispatcher }: RobotEndpointParts, outcome: CallOutcome, { params }: ParsedCall, caller: Caller): Promise<Sendable> {
  const [name, args, named] = params;
  if (typeof name !== 'string' || !isList(args) || (named !== undefined && !isDict(named)) || params.length > 3) {
    dispatcher.count(caller);
    throw new RelayError('INVALID_PARAMS', 'run_keyword takes the name of a keyword, a list of arguments, and a struct of named arguments');
  }
  outcome.rpcMethod = name;
  const keyword = findKeyword(dispatcher.registry.exposed(), name);
  if (!keyword) {
    dispatcher.count(caller);
    throw unknown(name);
  }
  const exactParams = exactParametersOf(keyword, params, caller);
  const asWritten = exactParams && { ...caller, exactOf: () => exactParams };
  return passed(await dispatcher.callAtOnce(keyword.name, parametersOf(keyword, args, named), asWritten ?? caller));
}

/** The parameters for a keyword with the types that its numbers had in the call; undefined if plain values have them. */
function exactParametersOf(keyword: Method, params: readonly Value[], { exactOf }: Caller): readonly Sendable[] | undefined {
  const exact = exactOf(params) as readonly [name: string, args: readonly Sendable[], named?: Sendable] | undefined;
  return exact && parametersOf(keyword, exact[1], exact[2]);
}

/** Describes the keywords that the caller may call. */
async function describe({ dispatcher }: RobotEndpointParts, { methodName, params }: ParsedCall, caller: Caller): Promise<Sendable> {
  dispatcher.count(caller);
  const all = dispatcher.registry.exposed();
  const mayCall = ({ name }: Method): boolean => dispatcher.may(name, caller);
  const keywords = (): Method[] => keywordsOf(all).filter(mayCall);
  if (methodName === 'get_keyword_names') return keywords().map(({ name }) => name);
  if (methodName === 'get_library_information') {
    const described = keywords().map((keyword) => [keyword.name, { ...describeKeyword(keyword) }] as const);
    return new Map<string, Sendable>([...described, ['__intro__', { doc: INTRO }], ['__init__', { doc: '' }]]);
  }
  const wanted = ABOUT_ONE.get(methodName);
  if (wanted === undefined)
    throw new RelayError('NO_SUCH_METHOD', `no method is named '${clean(methodName, 100)}' here; other methods are called at /RPC2`);
  const [name] = params;
  if (typeof name !== 'string' || params.length !== 1)
    throw new RelayError('INVALID_PARAMS', `${methodName} takes one parameter, the name of a keyword`);
  if (wanted === 'doc' && (name === '__intro__' || name === '__init__')) return name === '__intro__' ? INTRO : '';
  const keyword = findKeyword(all, name);
  if (!keyword || !mayCall(keyword)) throw unknown(name);
  return describeKeyword(keyword)[wanted];
}

function unknown(name: string): RelayError {
  return new RelayError('NO_SUCH_METHOD', `no keyword is named '${clean(name, 100)}'; get_keyword_names lists those that you may call`);
}

function isList(value: Value | undefined): value is readonly Value[] {
  return Array.isArray(value);
}

/** What `get_library_information` answers of one keyword. */
export interface KeywordDescription {
  /** In Robot's spelling: `arg1`, `arg2=` if it is optional, `*args`, `**named`. */
  readonly args: readonly string[];
  /** Argument -> type, as Robot names types; it converts what a test says to them. */
  readonly types: Readonly<Record<string, string>>;
  readonly doc: string;
  readonly tags: readonly string[];
}

// What is missing, `any` and `nil`, Robot passes on as it is.
const ROBOT_TYPES: ReadonlyMap<string, string> = new Map([
  ['int', 'int'],
  ['i4', 'int'],
  ['i8', 'int'],
  ['double', 'float'],
  ['boolean', 'bool'],
  ['string', 'str'],
  ['base64', 'bytes'],
  ['dateTime.iso8601', 'datetime'],
  ['array', 'list'],
  ['struct', 'dict'],
]);

/** A keyword's name as Robot compares names: it ignores case, spaces and underscores. */
function spokenName(name: string): string {
  return name.replace(/[ _]/g, '').toLowerCase();
}

/**
 * The methods that are keywords, sorted by name. If Robot takes several names for the same, only the first is a keyword, because Robot
 * would refuse them all. This is decided among all methods, so that a name means the same for every caller.
 */
export function keywordsOf(methods: readonly Method[]): Method[] {
  const spoken = new Set<string>();
  return methods
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .filter(({ name }) => !spoken.has(spokenName(name)) && spoken.add(spokenName(name)));
}

/** The method that a keyword's name means: the one of exactly this name, else the keyword that Robot takes for the same. */
export function findKeyword(methods: readonly Method[], name: string): Method | undefined {
  const spoken = spokenName(name);
  return methods.find((method) => method.name === name) ?? keywordsOf(methods).find((method) => spokenName(method.name) === spoken);
}

/** Arguments have no names in a signature: they are `arg1`, `arg2`, ... A struct at the end may be given as named arguments, too. */
export function describeKeyword({ name, help, access, signatures }: Method): KeywordDescription {
  const tags = [name.slice(0, name.lastIndexOf('.')), access];
  const ways = (signatures ?? []).map(([, ...types]) => types).toSorted((one, other) => one.length - other.length);
  const [fewest] = ways;
  const most = ways.at(-1);
  if (!fewest || !most) return { args: ['*args'], types: {}, doc: help, tags };
  const takesNamed = most.at(-1) === 'struct';
  const needed = Math.min(fewest.length, takesNamed ? most.length - 1 : most.length);
  const args = most.map((_type, index) => (index < needed ? argument(index) : `${argument(index)}=`));
  const types = most.flatMap((type, index) => {
    const known = ROBOT_TYPES.get(type);
    return known === undefined ? [] : [[argument(index), known] as const];
  });
  return { args: takesNamed ? [...args, '**named'] : args, types: Object.fromEntries(types), doc: help, tags };
}

/** What the method gets: the positional arguments, and the named ones as a struct after them. */
export function parametersOf(method: Method, args: readonly Value[], named: Value | undefined): readonly Value[];
export function parametersOf(method: Method, args: readonly Sendable[], named: Sendable | undefined): readonly Sendable[];
export function parametersOf({ signatures = [] }: Method, args: readonly Sendable[], named: Sendable | undefined): readonly Sendable[] {
  // Robot sends a text with control characters as bytes, for XML cannot carry it.
  const given = args.map((value, index) => {
    const isText = signatures.length > 0 && signatures.every((types) => types[index + 1] === undefined || types[index + 1] === 'string');
    return isText && Buffer.isBuffer(value) ? value.toString('latin1') : value;
  });
  return named === undefined ? given : [...given, named];
}

/** What `run_keyword` answers of a method that answered. */
export function passed(value: Sendable): Sendable {
  return { status: 'PASS', output: '', return: value, error: '', traceback: '' };
}

/** What `run_keyword` answers of one that failed: `text` is all that Robot learns. */
export function failed(text: string): Sendable {
  return { status: 'FAIL', output: '', return: '', error: text, traceback: '', continuable: false, fatal: false };
}

function argument(index: number): string {
  return `arg${index + 1}`;
}
