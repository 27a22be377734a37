/** The one table of callable methods: exact names, their help, signature, class and function. */
import { RelayError, clean } from '../core/core.ts';
import type { AccessClass, MaybePromise } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { Caller } from './caller.ts';

/** One signature: the result's type, then each parameter's. */
export type Signature = readonly string[];

export interface Method {
  readonly name: string;
  readonly access: AccessClass;
  /** The documentation, `''` if there is none. */
  readonly help: string;
  /** Undefined where it is not known; introspection then answers `undef`. */
  readonly signatures: readonly Signature[] | undefined;
  /** The plugin whose method it is; undefined for one of the relay's own. */
  readonly plugin?: string;
  /** Runs it; `undefined` is answered as `true`. Access was checked before. */
  readonly invoke: (params: readonly Value[], caller: Caller) => MaybePromise<Sendable | undefined>;
}

export class MethodRegistry {
  // A Map, so that `constructor` or `__proto__` is just a name that nobody registered.
  readonly #methods = new Map<string, Method>();

  /** Adds `method` under its name and its synonyms. A name that is taken is a mistake of ours: it throws. */
  add(method: Method, synonyms: readonly string[] = []): void {
    for (const name of [method.name, ...synonyms]) {
      if (this.#methods.has(name)) throw new Error(`method ${name} is registered twice`);
      this.#methods.set(name, name === method.name ? method : { ...method, name });
    }
  }

  /** Makes `methods` the ones of `plugin`, in place of those that it had. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if a name is taken by another. */
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

  /** The method of exactly this name. Throws a RelayError NO_SUCH_METHOD. */
  find(name: string): Method {
    const method = this.#methods.get(name);
    if (method) return method;
    throw new RelayError('NO_SUCH_METHOD', `no method is named '${clean(name, 100)}'; co2.get_method_names lists them all`);
  }

  /** All names, sorted. */
  names(): string[] {
    return [...this.#methods.keys()].sort();
  }
}
