/** `POST /robot`: the exposed methods as keywords, as the Remote library of Robot Framework asks for them. */
import { RelayError, clean } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Caller, ExposedMethod, Relay } from '../relay/relay.ts';
import { cleanUnsendable } from '../xmlrpc/xmlrpc.ts';
import type { ParsedCall } from '../xmlrpc/xmlrpc.ts';
import { describeKeyword, failed, findKeyword, keywordsOf, parametersOf, passed } from './keywords.ts';
import type { KeywordDescription } from './keywords.ts';
import type { Told, XmlCalls } from './endpoint.ts';
import { xmlCalls } from './xmlrpc-endpoint.ts';
import type { RpcDoorParts } from './xmlrpc-endpoint.ts';

export interface RobotDoorParts extends RpcDoorParts {
  readonly relay: RpcDoorParts['relay'] & Pick<Relay, 'exposedMethods' | 'may'>;
}

// Robot's client is Python's: it reads both extensions.
const READS = { nil: true, i8: true };
const INTRO =
  "Calls methods of a co2-relay. A keyword is a method of a plugin; its tags are the plugin's module and the right that a caller needs.";

const ABOUT_ONE: ReadonlyMap<string, keyof KeywordDescription> = new Map([
  ['get_keyword_arguments', 'args'],
  ['get_keyword_types', 'types'],
  ['get_keyword_documentation', 'doc'],
  ['get_keyword_tags', 'tags'],
]);

/** The requests of Robot. What a keyword does wrong is no fault but a result with status FAIL. */
export function robotCalls(parts: RobotDoorParts): XmlCalls {
  return xmlCalls(parts, {
    reads: READS,
    call: (call, caller, { told }) => (call.methodName === 'run_keyword' ? run(parts, told, call, caller) : tell(parts, call, caller)),
    answerFor: ({ methodName }, { text }) => (methodName === 'run_keyword' ? failed(cleanUnsendable(text)) : undefined),
  });
}

/** A call like any other: it counts once, and needs the rights of its method. */
async function run({ relay }: RobotDoorParts, told: Told, { params }: ParsedCall, caller: Caller): Promise<Sendable> {
  const [name, args, named] = params;
  if (typeof name !== 'string' || !isList(args) || (named !== undefined && !isDict(named)) || params.length > 3) {
    relay.count(caller);
    throw new RelayError('INVALID_PARAMS', 'run_keyword takes the name of a keyword, a list of arguments, and a struct of named arguments');
  }
  told.rpcMethod = name;
  const keyword = findKeyword(relay.exposedMethods(), name);
  if (!keyword) {
    relay.count(caller);
    throw unknown(name);
  }
  return passed(await relay.call(keyword.name, parametersOf(keyword, args, named), caller));
}

/** What is told of keywords; each caller learns of those that it may call. */
async function tell({ relay }: RobotDoorParts, { methodName, params }: ParsedCall, caller: Caller): Promise<Sendable> {
  relay.count(caller);
  const all = relay.exposedMethods();
  const mayCall = ({ name }: ExposedMethod): boolean => relay.may(name, caller);
  const keywords = (): ExposedMethod[] => keywordsOf(all).filter(mayCall);
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
