/** Methods of a server as if they were functions: `methods.ham.spam.add(1, 2)` calls `ham.spam.add`. */
import { inspect } from 'node:util';
import type { Sendable, Value } from '../values/values.ts';

/** A method of the server, and the start of the names of others. */
export interface RemoteMethod {
  (...params: readonly Sendable[]): Promise<Value>;
  readonly [name: string]: RemoteMethod;
}

/** The first parts of the names of methods. */
export type RemoteMethods = Readonly<Record<string, RemoteMethod>>;

// What the language and its tools look up on whatever they are handed, besides what every object inherits: it must not look like a promise,
// or like something with
// an opinion of its own about JSON. Methods of these names are reached by `call`.
const NOT_REMOTE: ReadonlySet<string> = new Set(['then', 'catch', 'finally', 'toJSON', 'prototype']);

// Those that make it a text.
const AS_TEXT: ReadonlySet<string | symbol> = new Set(['toString', 'toLocaleString', 'valueOf', inspect.custom]);

type Call = (method: string, params: readonly Sendable[]) => Promise<Value>;

/** Whatever is called on the result is called by `call`, with its dotted name; nothing is looked up on the server before. */
export function remoteMethods(call: Call): RemoteMethods {
  return standIn<RemoteMethods>({}, '[methods]', '', call);
}

function methodNamed(method: string, call: Call): RemoteMethod {
  const target = (...params: readonly Sendable[]): Promise<Value> => call(method, params);
  return standIn<RemoteMethod>(target, `[method ${method}]`, `${method}.`, call);
}

/** Has a method for every name, called `prefix` and that name, and nothing else; as a text it is `text`. */
function standIn<T extends object>(target: object, text: string, prefix: string, call: Call): T {
  // Emptied and frozen, it holds to what the language demands of any object: whoever lists, freezes or shows it gets an answer.
  for (const key of Reflect.ownKeys(target)) Reflect.deleteProperty(target, key);
  Object.setPrototypeOf(target, null);
  const show = (): string => text;
  Object.defineProperty(target, inspect.custom, { value: show });
  return new Proxy(Object.freeze(target), {
    get: (_target, name) => {
      if (AS_TEXT.has(name)) return show;
      return isRemote(name) ? methodNamed(prefix + name, call) : undefined;
    },
  }) as T;
}

function isRemote(name: string | symbol): name is string {
  return typeof name === 'string' && !NOT_REMOTE.has(name) && !(name in Object.prototype);
}
