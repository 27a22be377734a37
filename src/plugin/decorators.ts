/** The decorators for plugin authors. Each works with and without parentheses: `@Satellite` and `@Satellite()`. */
import 'reflect-metadata';
import { refusalOfExposed, refusalOfRelayPlugin, refusalOfSatellite } from './check-options.ts';
import { markExposed, markInjectable, markInjected, markRelayPlugin, markSatellite } from './metadata.ts';
import type { AnyClass, ExposedOptions, InjectionToken, SatelliteOptions } from './metadata.ts';
import type { RelayPluginOptions } from './relay-plugin.ts';

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

/** Makes a method callable by every XML-RPC client as `package.module.method`. Its doc comment is its help. */
export function Exposed(prototype: object, method: string | symbol, descriptor: PropertyDescriptor): void;
export function Exposed(options?: ExposedOptions): (prototype: object, method: string | symbol, descriptor: PropertyDescriptor) => void;
export function Exposed(
  first?: object,
  method?: string | symbol,
): ((prototype: object, method: string | symbol, descriptor: PropertyDescriptor) => void) | undefined {
  if (first === undefined || method === undefined) {
    const refuse = refusalOfExposed(first ?? {});
    return (prototype, name) => {
      refuse?.(`@Exposed on ${prototype.constructor.name}.${String(name)}`);
      expose(prototype, name, first ?? {});
    };
  }
  expose(first, method, {});
  return undefined;
}

// What the relay calls on a plugin, and what the base class provides.
const OWN_METHODS: ReadonlySet<string | symbol> = new Set('send call log debug receive setup exit handover restore'.split(' '));

function expose(prototype: object, method: string | symbol, options: ExposedOptions): void {
  if (typeof prototype === 'function')
    throw new TypeError(`@Exposed on the static method ${String(method)}: only instance methods are callable`);
  if (OWN_METHODS.has(method))
    throw new TypeError(
      `@Exposed on ${prototype.constructor.name}.${String(method)}: this would replace a method that every plugin has; give it another name`,
    );
  if (typeof method === 'symbol') throw new TypeError(`@Exposed on ${String(method)}: a method without a name cannot be called`);
  markExposed(prototype, method, options);
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
