/** The watchers and reactors that a class offers: its methods with `@Watcher` and `@Reactor`, and the endpoints that they return. */
import { clean, RelayError } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { methodsWith } from '../../plugin/internal.ts';
import type { AnyClass, EndpointContext, EndpointOptions, ReactorEndpoint, ServiceEvent, WatcherEndpoint } from '../../plugin/internal.ts';
import { describeValue } from '../../values/values.ts';
import type { EndpointOrder, EndpointRole, HostedEndpoint } from '../hosted/hosted.ts';
import { loggerOf } from './logger-of.ts';
import { issueText } from './plugin-config.ts';

/** A method with `@Watcher` or `@Reactor`. */
export interface EndpointMethod {
  readonly role: EndpointRole;
  /** `nodes` */
  readonly method: string;
  /** `ham.spam:nodes` */
  readonly type: string;
  readonly options: EndpointOptions;
  readonly accept: (this: object, config: unknown, context: EndpointContext) => unknown;
}

const ROLES = [
  ['Watcher', 'watcher'],
  ['Reactor', 'reactor'],
] as const;

/** The endpoints that `target` itself offers. Throws an Error that names the method whose declaration is invalid. */
export function endpointMethods(target: AnyClass, module: string): readonly EndpointMethod[] {
  const taken = new Map([...methodsWith('Exposed', target).keys()].map((method) => [method, 'Exposed']));
  for (const method of methodsWith('Work', target).keys()) taken.set(method, 'Work');
  return ROLES.flatMap(([decorator, role]) =>
    [...methodsWith(decorator, target)].map(([method, options]) => {
      const accept: unknown = Object.getOwnPropertyDescriptor(target.prototype, method)?.value;
      const refuse = (reason: string): never => {
        throw new Error(`@${decorator} on ${target.name}.${method}: ${reason}`);
      };
      if (typeof accept !== 'function') return refuse(`only methods can accept a ${role}`);
      if (!/^[A-Za-z_]\w*$/.test(method)) refuse('a method name has letters, digits and "_", and does not begin with a digit');
      const other = taken.get(method);
      if (other !== undefined) refuse(`it is @${other}, too; make two methods`);
      taken.set(method, decorator);
      return { role, method, type: `${module}:${method}`, options, accept: accept as EndpointMethod['accept'] };
    }),
  );
}

/** What an endpoint gets from its plugin. */
export interface EndpointSurroundings {
  /** The log of the plugin. */
  readonly log: Log;
  /** Aborted when the satellite exits. */
  readonly gone: AbortSignal;
}

/** Has `instance` accept a configuration. Rejects with the reason why it refuses. */
export async function acceptEndpoint(
  { role, type, options, accept }: EndpointMethod,
  instance: object,
  { service, name, config: given }: EndpointOrder,
  { log, gone }: EndpointSurroundings,
): Promise<HostedEndpoint> {
  const config = await checkedConfig(options, given);
  const context: EndpointContext = { service, name, logger: loggerOf(`${service}.${name}`, log) };
  const endpoint: unknown = await Reflect.apply(accept, instance, [config, context]);
  const expected = role === 'watcher' ? 'watch' : 'react';
  if (typeof endpoint !== 'object' || endpoint === null || !hasMethod(endpoint, expected))
    throw new RelayError('APPLICATION', `${type} returned ${describeValue(endpoint)}, expected an object with the method ${expected}()`);
  return role === 'watcher' ? hostedWatcher(type, endpoint as WatcherEndpoint, gone) : hostedReactor(endpoint as ReactorEndpoint, gone);
}

function hostedWatcher(type: string, endpoint: WatcherEndpoint, gone: AbortSignal): HostedEndpoint {
  return {
    ...{ role: 'watcher', gone },
    watch: (signal) => {
      const reports: unknown = endpoint.watch(signal);
      if (typeof reports === 'object' && reports !== null && Symbol.asyncIterator in reports) return reports as AsyncIterable<unknown>;
      throw new RelayError(
        'APPLICATION',
        `${type}: watch() returned ${describeValue(reports)}, expected an async generator: async *watch(signal)`,
      );
    },
  };
}

function hostedReactor(endpoint: ReactorEndpoint, gone: AbortSignal): HostedEndpoint {
  return {
    // One by one: what waits behind a slow change is merged meanwhile.
    ...{ role: 'reactor', gone, maxBatch: 1 },
    open: () => undefined,
    react: ([change]: readonly ServiceEvent[], signal: AbortSignal) => change && endpoint.react(change, signal),
    close: () => endpoint.close?.(),
  };
}

function hasMethod(value: object, name: string): boolean {
  return name in value && typeof (value as Readonly<Record<string, unknown>>)[name] === 'function';
}

async function checkedConfig({ config: schema }: EndpointOptions, config: EndpointOrder['config']): Promise<unknown> {
  if (!schema) return config;
  const result = await schema['~standard'].validate(config);
  if (!result.issues) return result.value;
  const reasons = result.issues
    .slice(0, 3)
    .map((issue) => issueText(issue, (path) => (path.length === 0 ? 'cfg' : `cfg.${path.join('.')}`)));
  throw new RelayError('CONFIG_INVALID', clean(reasons.join('; '), 1_000));
}
