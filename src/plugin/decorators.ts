/** The decorators for plugin authors. Each works with and without parentheses: `@Satellite` and `@Satellite()`. */
import 'reflect-metadata';
import {
  refusalOfController,
  refusalOfDatasource,
  refusalOfEndpoint,
  refusalOfExposed,
  refusalOfRelayPlugin,
  refusalOfSatellite,
  refusalOfWork,
} from './check-options.ts';
import { markInjectable, markInjected, markMethod, markMethodOf, markRelayPlugin, markSatellite } from './metadata.ts';
import type { AnyClass, ExposedOptions, InjectionToken, MethodDecorators, SatelliteOptions } from './metadata.ts';
import type { Refusal } from './check-options.ts';
import type { ControllerOptions, DatasourceOptions } from './recording.ts';
import type { RelayPluginOptions } from './relay-plugin.ts';
import type { EndpointOptions } from './service.ts';
import type { WorkOptions } from './work.ts';

/** Makes an exported class a satellite: the relay constructs it, calls its `receive`, and lets it `send`. */
export function Satellite(target: AnyClass): void;
export function Satellite(options?: SatelliteOptions): (target: AnyClass) => void;
export function Satellite(first?: AnyClass | SatelliteOptions): ((target: AnyClass) => void) | undefined {
  if (typeof first !== 'function') {
    const refuse = refusalOfSatellite(first ?? {});
    return (target) => {
      refuse?.(`@Satellite on ${target.name}`);
      markSatellite(target, first ?? {});
    };
  }
  markSatellite(first, {});
  return undefined;
}

/**
 * Makes an exported class a relay plugin (see `RelayHooks`). It sees every dict, so it is loaded only if `relayPlugins` in config.ts names
 * its file.
 */
export function RelayPlugin(target: AnyClass): void;
export function RelayPlugin(options?: RelayPluginOptions): (target: AnyClass) => void;
export function RelayPlugin(first?: AnyClass | RelayPluginOptions): ((target: AnyClass) => void) | undefined {
  if (typeof first !== 'function') {
    const refuse = refusalOfRelayPlugin(first ?? {});
    return (target) => {
      refuse?.(`@RelayPlugin on ${target.name}`);
      markRelayPlugin(target, first ?? {});
    };
  }
  markRelayPlugin(first, {});
  return undefined;
}

/** The decorator of a method, in the form of TypeScript's `experimentalDecorators`, which the relay compiles, and in that of ECMAScript. */
export interface MethodDecorator {
  (prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
  (method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
}

/** Makes a method callable by every XML-RPC client as `package.module.method`. Its doc comment is its help. */
export function Exposed(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Exposed(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Exposed(options?: ExposedOptions): MethodDecorator;
export function Exposed(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Exposed', refusalOfExposed, first, second);
}

/**
 * Makes an async generator work that can be submitted as `package.module:method`. It is called with the payload and a `WorkContext`; each
 * `yield` (a struct, a text or bytes) is one result, its return completes the unit of work, and an error that it throws fails it. A module
 * with such methods runs in a process of its own, unless its `isolation` is `inline`. Its doc comment is its help.
 */
export function Work(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Work(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Work(options?: WorkOptions): MethodDecorator;
export function Work(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Work', refusalOfWork, first, second);
}

/**
 * Makes an async generator a datasource, which can be recorded as `package.module:method`. It is called with an AbortSignal when a
 * recording starts; each `yield` (a `NewFrame`) is a frame for all subscribers, its return ends the recording, and an error that it throws
 * has it started again after a while. Its doc comment is its help.
 */
export function Datasource(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Datasource(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Datasource(options?: DatasourceOptions): MethodDecorator;
export function Datasource(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Datasource', refusalOfDatasource, first, second);
}

/**
 * Makes an async generator a controller, which can be commanded as `package.module:method`. It is called with the `Frame` of the command
 * and an AbortSignal; each `yield` (a `NewFrame`) is a frame for the caller of this command alone. Its doc comment is its help.
 */
export function Controller(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Controller(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Controller(options?: ControllerOptions): MethodDecorator;
export function Controller(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Controller', refusalOfController, first, second);
}

/**
 * Makes a method accept watchers: a service in config.ts names it by `type: 'package.module:method'`. It is called with what that service
 * configures and an `EndpointContext`, and returns a `WatcherEndpoint`; an error that it throws refuses the configuration, which
 * stops the start of the relay. Its doc comment is its help.
 */
export function Watcher(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Watcher(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Watcher(options?: EndpointOptions): MethodDecorator;
export function Watcher(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Watcher', refusalOfEndpoint, first, second);
}

/** Makes a method accept reactors, as `Watcher` does for watchers. It returns a `ReactorEndpoint`. */
export function Reactor(prototype: object, method: string | symbol, descriptor?: PropertyDescriptor): void;
export function Reactor(method: (this: never, ...params: never[]) => unknown, context: ClassMethodDecoratorContext): void;
export function Reactor(options?: EndpointOptions): MethodDecorator;
export function Reactor(first?: object, second?: Place): MethodDecorator | undefined {
  return decorate('Reactor', refusalOfEndpoint, first, second);
}

/** Where a decorator of a method is: its name in the form of TypeScript, a context in that of ECMAScript. */
type Place = string | symbol | ClassMethodDecoratorContext;

// What the relay calls on a plugin, and what the base class provides.
const OWN_METHODS: ReadonlySet<string | symbol> = new Set('send call log debug receive setup exit handover restore'.split(' '));

/** The two ways to write a decorator of a method: bare, `first` is the prototype or the method; called, it is the options. */
function decorate<Decorator extends keyof MethodDecorators>(
  decorator: Decorator,
  refusalOf: (options: unknown) => Refusal,
  first: object | undefined,
  second: Place | undefined,
): MethodDecorator | undefined {
  if (first === undefined || second === undefined) {
    const refuse = refusalOf(first ?? {});
    return (target: object, place: Place) => {
      refuse?.(`@${decorator} on ${typeof place === 'object' ? '' : `${target.constructor.name}.`}${String(nameAt(place))}`);
      mark(decorator, target, place, first ?? {});
    };
  }
  mark(decorator, first, second, {});
  return undefined;
}

function mark<Decorator extends keyof MethodDecorators>(
  decorator: Decorator,
  target: object,
  place: Place,
  options: MethodDecorators[Decorator],
): void {
  const method = nameAt(place);
  const isStatic = typeof place === 'object' ? place.static : typeof target === 'function';
  if (isStatic) throw new TypeError(`@${decorator} on the static method ${String(method)}: only instance methods are callable`);
  if (typeof place === 'object' && place.private)
    throw new TypeError(`@${decorator} on the private method ${String(method)}: only public methods are callable`);
  if (OWN_METHODS.has(method)) {
    const owner = typeof place === 'object' ? '' : `${target.constructor.name}.`;
    throw new TypeError(
      `@${decorator} on ${owner}${String(method)}: this would replace a method that every plugin has; give it another name`,
    );
  }
  if (typeof method === 'symbol') throw new TypeError(`@${decorator} on ${String(method)}: a method without a name cannot be called`);
  // An ECMAScript decorator gets the method alone, before there is a class.
  if (typeof place === 'object') markMethod(decorator, target, options);
  else markMethodOf(decorator, target, method, options);
}

function nameAt(place: string | symbol | ClassMethodDecoratorContext): string | symbol {
  return typeof place === 'object' ? place.name : place;
}

/** Names the value of a constructor parameter if its type alone does not: `@Inject(LOGGER) logger: Logger`. */
export function Inject(token: InjectionToken): (target: object, name: string | symbol | undefined, index: number) => void {
  // Undefined at run time, whatever its type: a type that was imported with `import type`, or a class of two files that import each other.
  if ((token as InjectionToken | undefined) === undefined)
    throw new TypeError('@Inject(undefined): the token is undefined; import the class itself, not as a type, and avoid circular imports');
  return (target, _name, index) => {
    markInjected(target, index, token);
  };
}

/** Lets the constructor of a helper class have parameters injected. Without it, only constructors without parameters work. */
export function Injectable(target: AnyClass): void;
export function Injectable(): (target: AnyClass) => void;
export function Injectable(target?: AnyClass): ((target: AnyClass) => void) | undefined {
  if (target === undefined) return markInjectable;
  markInjectable(target);
  return undefined;
}
