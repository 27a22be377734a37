/** The table of callable methods: exact names, each with its help, signatures, access class and function. */
import { RelayError, clean, suggest } from '../core/core.ts';
import type { AccessClass, Accepted, MaybePromise } from '../core/core.ts';
import { dictOf, isDict } from '../values/values.ts';
import type { Dict, ExactOf, Sendable, Value } from '../values/values.ts';
import type { Caller } from './caller.ts';

/** One signature: the type of the result, then that of each parameter. */
export type Signature = readonly string[];

export interface Method {
  readonly name: string;
  readonly access: AccessClass;
  /** True if everybody may call it, whatever their rights: it finds out who calls. Default false. */
  readonly isForAll?: boolean;
  /**
   * True if it is about the connection or the address of the caller, so that another node cannot call it through the mesh. Default false.
   */
  readonly isOfConnection?: boolean;
  /** The documentation, `''` if there is none. */
  readonly help: string;
  /** Undefined where the types are not known; introspection then answers `undef`. */
  readonly signatures: readonly Signature[] | undefined;
  /** The names of the parameters, in order, for all signatures; `''`, or none, where a name is not known. Default: none is known. */
  readonly paramNames?: readonly string[] | undefined;
  /** The plugin that exposes the method; undefined for one of the relay's own. */
  readonly plugin?: string;
  /**
   * Runs the method; `undefined` is answered as `true`. Access was checked before. {@link Accepted}: the next call of the same request need
   * not wait for the result.
   */
  readonly invoke: (params: readonly Value[], caller: Caller) => MaybePromise<Sendable | Accepted<Sendable> | undefined>;
  /** What other nodes may read item by item instead of the result. It ends when the caller is gone. Default: nothing. */
  readonly stream?: (params: readonly Value[], caller: Caller) => AsyncIterable<Sendable>;
}

/** A method of a plugin. */
export interface HostedMethod {
  /** `ham.spam.add` */
  readonly name: string;
  /** The doc comment, `''` if there is none. */
  readonly help: string;
  /** `[[result, ...parameters]]`; undefined where the types are not known. */
  readonly signature: readonly Signature[] | undefined;
  /** The names of the parameters, as in {@link Method}. */
  readonly paramNames?: readonly string[] | undefined;
  /** The right that a caller needs. */
  readonly access: AccessClass;
  /**
   * Runs the method. `exactOf`: the types that the numbers of the parameters had in the call. Throws, or rejects with, a RelayError
   * INVALID_PARAMS or APPLICATION, or whatever the method throws.
   */
  readonly invoke: (params: readonly Value[], exactOf: ExactOf) => MaybePromise<Sendable | undefined>;
}

export class MethodRegistry {
  // A Map, so that `constructor` and `__proto__` are ordinary names that nobody registered.
  readonly #methods = new Map<string, Method>();

  /** Adds `method` under its name and its synonyms. Throws an Error if a name is taken: that is a bug in the relay. */
  add(method: Method, synonyms: readonly string[] = []): void {
    for (const name of [method.name, ...synonyms]) {
      if (this.#methods.has(name)) throw new Error(`method ${name} is registered twice`);
      this.#methods.set(name, name === method.name ? method : { ...method, name });
    }
  }

  /**
   * Replaces the methods of `plugin` by `methods`. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if another owner has one of the
   * names.
   */
  replace(plugin: string, methods: readonly Method[]): void {
    for (const [index, { name }] of methods.entries()) {
      if (methods.findIndex((other) => other.name === name) !== index)
        throw new RelayError('PLUGIN_REFUSED', `${plugin} exposes ${name} twice; rename one`);
      const taken = this.#methods.get(name);
      if (taken && taken.plugin !== plugin)
        throw new RelayError(
          'PLUGIN_REFUSED',
          `${plugin} exposes ${name}, which is a method of ${taken.plugin ?? 'the relay'} already; rename one`,
        );
    }
    for (const [name, method] of this.#methods) if (method.plugin === plugin) this.#methods.delete(name);
    for (const method of methods) this.#methods.set(method.name, method);
  }

  /** The method of exactly this name; undefined if there is none. */
  get(name: string): Method | undefined {
    return this.#methods.get(name);
  }

  /** The method of exactly this name. Throws a RelayError NO_SUCH_METHOD with a suggestion, for callers who may read the list of names. */
  find(name: string): Method {
    const method = this.#methods.get(name);
    if (method) return method;
    throw this.noSuchMethod(name, true);
  }

  /** The RelayError NO_SUCH_METHOD for a name that does not exist. It names a similar method if `suggests` is true. */
  noSuchMethod(name: string, suggests: boolean): RelayError {
    const hint = suggests && this.#methods.size <= MAX_COMPARED ? suggest(name, [...this.#methods.keys()]) : '';
    const isSimilar = hint.includes('did you mean');
    const text = `no method is named '${clean(name, 100)}'${isSimilar ? hint : '; co2.get_method_names lists them all'}`;
    return new RelayError('NO_SUCH_METHOD', text);
  }

  /** The plugin that exposes the method of this name; undefined if none does. */
  pluginOf(name: string): string | undefined {
    return this.#methods.get(name)?.plugin;
  }

  has(name: string): boolean {
    return this.#methods.has(name);
  }

  /** All names, sorted. */
  names(): string[] {
    return [...this.#methods.keys()].sort();
  }

  /** The methods that plugins expose, sorted by name. */
  exposed(): Method[] {
    return [...this.#methods.values()].filter(({ plugin }) => plugin !== undefined).sort((a, b) => (a.name < b.name ? -1 : 1));
  }
}

// Comparing a name with that many takes about half a millisecond, which a wrong call must not exceed.
const MAX_COMPARED = 500;

/** The parameters of a method that takes one struct; no parameter is an empty struct. Throws a RelayError INVALID_PARAMS. */
export function oneStruct(method: string, params: readonly Value[]): Dict {
  const [first] = params;
  if (params.length === 0) return dictOf();
  if (params.length === 1 && isDict(first)) return first;
  throw new RelayError('INVALID_PARAMS', `${method} takes one struct`);
}
