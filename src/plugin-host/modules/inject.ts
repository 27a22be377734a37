/** Constructs the classes of a plugin. tsyringe injects the constructor parameters, from one child container per plugin. */
import 'reflect-metadata';
import { inject, injectable, Lifecycle } from 'tsyringe';
import type { DependencyContainer } from 'tsyringe';
import type { Log } from '../../core/core.ts';
import { injectedTokensOf, isInjectable, isLoggerType, LOGGER, loggerFor } from '../../plugin/internal.ts';
import type { AnyClass, InjectionToken, Logger } from '../../plugin/internal.ts';

type Constructor = new (...args: unknown[]) => object;

/** Constructs the satellites of one plugin, which share the instances of their helper classes. */
export class Injector {
  readonly #container: DependencyContainer;
  readonly #logger: Logger;
  readonly #ready = new Set<AnyClass>();

  constructor(container: DependencyContainer, log: Log) {
    this.#container = container.createChildContainer();
    this.#logger = loggerFor(log);
    this.#container.register(LOGGER, { useValue: this.#logger });
  }

  /** Throws what a constructor throws, or an Error that names class and parameter if something cannot be injected. */
  construct(target: AnyClass): object {
    this.#prepare(target, []);
    return this.#container.resolve(target as Constructor);
  }

  /**
   * Registers `target` and all its dependencies with tsyringe, and constructs the dependencies, deepest first, so that the error of a
   * constructor reaches the caller unchanged.
   */
  #prepare(target: AnyClass, path: readonly AnyClass[]): void {
    if (this.#ready.has(target)) return;
    if (path.includes(target)) {
      const circle = [...path.slice(path.indexOf(target)), target].map(({ name }) => name);
      throw new Error(`circular dependency: the constructor of ${circle.join(' needs ')}`);
    }
    const tokens = parametersOf(target, path.length > 0);
    for (const [index, token] of tokens.entries()) {
      this.#prepareParameter(target, index, token, [...path, target]);
    }
    // Only tokens of @Inject are passed on: tsyringe replaces the emitted types by its own descriptors, which another relay would then
    // read.
    for (const [index, token] of injectedTokensOf(declaringClassOf(target))) inject(token as Constructor)(target, undefined, index);
    injectable()(target as Constructor);
    this.#container.register(target as Constructor, { useClass: target as Constructor }, { lifecycle: Lifecycle.ContainerScoped });
    this.#ready.add(target);
  }

  #prepareParameter(target: AnyClass, index: number, token: unknown, path: readonly AnyClass[]): void {
    const parameter = `parameter ${index + 1} of the constructor of ${target.name}`;
    if (typeof token === 'symbol' || typeof token === 'string') {
      if (this.#container.isRegistered(token, true)) return;
      throw new Error(`${parameter} asks for ${String(token)}, but nothing is registered under this name`);
    }
    if (!isHelperClass(token)) {
      throw new Error(`${parameter} has the type ${nameOf(token)}, which cannot be injected; name a token: @Inject(...)`);
    }
    if (this.#container.isRegistered(token as Constructor, true)) return;
    if (isLoggerType(token)) {
      // The plugin may have imported it from another copy of the package.
      this.#container.register(token as Constructor, { useValue: this.#logger });
      return;
    }
    this.#prepare(token, path);
    this.#container.resolve(token as Constructor);
  }
}

/** What is injected for each parameter of the constructor: the token of `@Inject`, or else the emitted type. */
function parametersOf(target: AnyClass, isHelper: boolean): readonly unknown[] {
  const declaring = declaringClassOf(target);
  const types = ownTypesOf(declaring) ?? [];
  const tokens: ReadonlyMap<number, InjectionToken> = injectedTokensOf(declaring);
  const count = Math.max(types.length, declaring.length, ...[...tokens.keys()].map((index) => index + 1));
  return Array.from({ length: count }, (_, index) => {
    const token = tokens.get(index) ?? types[index];
    if (token !== undefined || ownTypesOf(declaring)) return token;
    const remedy = isHelper && !isInjectable(declaring) ? `decorate ${declaring.name} with @Injectable()` : 'name a token: @Inject(...)';
    throw new Error(`parameter ${index + 1} of the constructor of ${target.name} has no known type; ${remedy}`);
  });
}

/** The class whose constructor runs: `target`, or the one that it inherits its constructor from. */
function declaringClassOf(target: AnyClass): AnyClass {
  for (let next: unknown = target; typeof next === 'function' && next !== Function.prototype; next = Object.getPrototypeOf(next)) {
    const candidate = next as AnyClass;
    if (ownTypesOf(candidate) || candidate.length > 0 || injectedTokensOf(candidate).size > 0) return candidate;
  }
  return target;
}

function ownTypesOf(target: AnyClass): readonly unknown[] | undefined {
  return Reflect.getOwnMetadata('design:paramtypes', target) as readonly unknown[] | undefined;
}

/** Types in metadata that are not classes of the plugin: unions, interfaces, primitives, built-in objects. */
const BUILT_IN = new Set<unknown>([
  ...[Object, String, Number, Boolean, Array, Function, Symbol, BigInt, Promise, Date, RegExp, Error, Map, Set, WeakMap, WeakSet],
  ...[Buffer, Uint8Array, ArrayBuffer, URL, AbortSignal, AbortController],
]);

function isHelperClass(token: unknown): token is AnyClass {
  return typeof token === 'function' && !BUILT_IN.has(token);
}

function nameOf(type: unknown): string {
  // Metadata has Object for every type that does not exist at run time.
  if (type === Object) return 'Object (an interface, a union, or a class that is imported as a type only)';
  return typeof type === 'function' ? type.name : String(type);
}
