/** What a server says that can be called on it: by system.describeMethods, else by the introspection that every XML-RPC server may have. */
import { RelayError, clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { Value } from '../../values/values.ts';
import { attempt, listOf, methodHelp, methodNames, methodSignatures } from '../introspection.ts';
import type { MethodNames, RemoteSignature } from '../introspection.ts';
import type { Call } from '../target.ts';

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
