/** What methods are there and how to call them: co2's names for it, and those of XML-RPC introspection. */
import { RelayError, typedParams } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Method, MethodRegistry, Signature } from './method-registry.ts';

const CAPABILITIES = {
  xmlrpc: { specUrl: 'http://xmlrpc.com/spec.md', specVersion: 1 },
  introspection: { specUrl: 'http://xmlrpc-c.sourceforge.net/introspection.html', specVersion: 1 },
  'system.multicall': { specUrl: 'http://mirrors.talideon.com/articles/multicall.html', specVersion: 1 },
  nil: { specUrl: 'http://ontosys.com/xml-rpc/extensions.php', specVersion: 20010518 },
  faults_interop: { specUrl: 'http://xmlrpc-epi.sourceforge.net/specs/rfc.fault_codes.php', specVersion: 20010516 },
};

/** Registers the methods that describe `registry`. */
export function addIntrospection(registry: MethodRegistry): void {
  registry.add(
    {
      name: 'co2.get_method_names',
      access: 'read',
      help: 'Lists the names of all methods that can be called here.',
      signatures: [['array']],
      invoke: () => registry.names(),
    },
    ['system.listMethods', 'web.get_method_names'],
  );
  registry.add(
    {
      name: 'co2.get_method_help',
      access: 'read',
      help: 'Answers the documentation of the method that is named, an empty string if it has none.',
      signatures: [['string', 'string']],
      paramNames: ['method'],
      invoke: (params) => named(registry, params).help,
    },
    ['system.methodHelp', 'web.get_method_help'],
  );
  registry.add(
    {
      name: 'co2.get_method_signature',
      access: 'read',
      help: 'Answers how the method that is named is called: "result name(parameter: type, ...)", a line for each way.',
      signatures: [['string', 'string']],
      paramNames: ['method'],
      invoke: (params) => describeCall(named(registry, params)),
    },
    ['web.get_method_signature'],
  );
  registry.add({
    name: 'system.methodSignature',
    access: 'read',
    help: 'Answers a list of signatures of the method that is named, each a list of type names, first the result; or "undef".',
    signatures: [['array', 'string']],
    paramNames: ['method'],
    invoke: (params) => named(registry, params).signatures ?? 'undef',
  });
  registry.add({
    name: 'system.describeMethods',
    access: 'read',
    help: 'Describes all methods, or those of the list of names: name, help, access, signatures (each {returns, params: [{type, name}]}; none where the types are not known, no name where that is not known).',
    signatures: [['array'], ['array', 'array']],
    paramNames: ['methods'],
    invoke: (params) => namesIn(registry, params).map((name) => describeMethod(registry.find(name))),
  });
  registry.add({
    name: 'system.getCapabilities',
    access: 'read',
    help: 'Answers the specifications that this server follows, each with specUrl and specVersion.',
    signatures: [['struct']],
    invoke: () => CAPABILITIES,
  });
}

/** `int ham.spam.add(a: int, b: int)`, or `int ham.spam.add(int, int)`, `ham.spam.add(a, b)`, `ham.spam.add(...)` where less is known. */
export function describeCall({ name, signatures, paramNames = [] }: Pick<Method, 'name' | 'signatures' | 'paramNames'>): string {
  if (!signatures) return `${name}(${paramNames.length > 0 && paramNames.every(Boolean) ? paramNames.join(', ') : '...'})`;
  return signatures.map(([result = 'any', ...params]) => `${result} ${name}(${typedParams(params, paramNames)})`).join('\n');
}

/** What a generator of clients needs to know of a method. */
function describeMethod({ name, help, access, signatures = [], paramNames = [] }: Method): Sendable {
  const param = (type: string, index: number): Sendable => (paramNames[index] ? { type, name: paramNames[index] } : { type });
  return {
    ...{ name, help, access },
    signatures: signatures.map(([returns = 'any', ...params]) => ({ returns, params: params.map(param) })),
  };
}

function namesIn(registry: MethodRegistry, params: readonly Value[]): readonly string[] {
  const [list] = params;
  if (params.length === 0) return registry.names();
  if (params.length === 1 && Array.isArray(list)) {
    const names = (list as readonly Value[]).filter((name) => typeof name === 'string');
    // Each once, or a short request would have an answer without bound.
    if (names.length === list.length) return [...new Set(names)];
  }
  throw new RelayError('INVALID_PARAMS', 'the one parameter is a list of the names of methods; without it all are described');
}

function named(registry: MethodRegistry, params: readonly Value[]): Method {
  const [name] = params;
  if (params.length === 1 && typeof name === 'string') return registry.find(name);
  throw new RelayError('INVALID_PARAMS', 'the one parameter is the name of a method, a string');
}

/** What one method looks like to a person who reads about it. */
export interface MethodDescription {
  readonly name: string;
  readonly help: string;
  /** How it is called, in one line for each way. */
  readonly usage: string;
  readonly access: string;
  /** Undefined where the types are not known. */
  readonly signatures: readonly Signature[] | undefined;
  /** The names of the parameters, as in {@link Method}. */
  readonly paramNames: readonly string[];
  /** The plugin that exposes it; undefined for a method of the relay. */
  readonly plugin?: string | undefined;
}

/** All of them, sorted by name. */
export function describeMethods(registry: MethodRegistry): MethodDescription[] {
  return registry.names().map((name) => {
    const method = registry.find(name);
    const { help, access, signatures, paramNames = [], plugin } = method;
    return { name, help, usage: describeCall(method), access, signatures, paramNames, plugin };
  });
}
