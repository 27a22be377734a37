/** Methods of a server as if they were functions: `methods.ham.spam.add(1, 2)` calls `ham.spam.add`. */
import type { Sendable, Value } from '../../message/message.ts';

/** A method of the server, and the start of the names of others. */
export interface RemoteMethod {
  (...params: readonly Sendable[]): Promise<Value>;
  readonly [name: string]: RemoteMethod;
}

/** The first parts of the names of methods. */
export type RemoteMethods = Readonly<Record<string, RemoteMethod>>;

// What the language and its tools look up on whatever they are handed: it must not look like a promise, or like something with an opinion of its own about JSON
// or text. Methods of these names are reached by `call`.
const NOT_REMOTE: ReadonlySet<string> = new Set([
  'then',
  'catch',
  'finally',
  'toJSON',
  'toString',
  'valueOf',
  'constructor',
  'prototype',
  '__proto__',
]);

/** Whatever is called on the result is called by `call`, with its dotted name; nothing is looked up on the server before. */
export function remoteMethods(call: (method: string, params: readonly Sendable[]) => Promise<Value>): RemoteMethods {
  return new Proxy(Object.freeze(Object.create(null) as RemoteMethods), {
    get: (_target, name) => (isRemote(name) ? methodNamed(name, call) : undefined),
  });
}

function methodNamed(method: string, call: (method: string, params: readonly Sendable[]) => Promise<Value>): RemoteMethod {
  const target = (...params: readonly Sendable[]): Promise<Value> => call(method, params);
  return new Proxy(target as RemoteMethod, {
    get: (_target, name) => {
      if (name === 'toString' || name === 'valueOf') return () => `[method ${method}]`;
      return isRemote(name) ? methodNamed(`${method}.${name}`, call) : undefined;
    },
    // Nothing can be put on it, and nothing is on it.
    has: () => false,
    ownKeys: () => [],
    getOwnPropertyDescriptor: () => undefined,
    set: () => false,
    defineProperty: () => false,
    deleteProperty: () => false,
    setPrototypeOf: () => false,
  });
}

function isRemote(name: string | symbol): name is string {
  return typeof name === 'string' && !NOT_REMOTE.has(name);
}
