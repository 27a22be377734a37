/** The wire methods `service.*`. */
import type { Clock } from '../core/core.ts';
import { RelayError } from '../core/core.ts';
import type { EndpointState } from '../relay/relay.ts';
import type { Method, MethodRegistry } from '../rpc/rpc.ts';
import { Double } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import type { ReactorStatus, ServiceStatus, WatcherStatus } from './service.ts';
import type { Services } from './service-set.ts';

type Struct = Readonly<Record<string, Sendable>>;

/** Registers the methods. */
export function addServiceMethods(registry: MethodRegistry, services: Services, clock: Pick<Clock, 'now'>): void {
  for (const method of [...queries(services, clock), ...changes(services, clock), services.watchMethod]) registry.add(method);
}

function queries(services: Services, clock: Pick<Clock, 'now'>): readonly Method[] {
  return [
    {
      name: 'service.list',
      access: 'call',
      help: 'Lists the services of this relay: [{name, state, reason, up, down, watchers, reactors}]. state is running, degraded (an endpoint does not run, which is the reason), stopping or stopped; up and down are numbers of nodes. Each watcher and reactor has name, type, node (empty for this relay), state, reason, restarts, last_error and its counters.',
      signatures: [['array'], ['array', 'struct']],
      invoke: () => servicesOnWire(services, clock),
    },
    {
      name: 'service.status',
      access: 'call',
      help: 'Returns a service as service.list does, with its nodes: {name: {name, status, host, port}}.',
      signatures: [['struct', 'string']],
      invoke: (params) => statusOf(services, nameIn('service.status', params), clock),
    },
  ];
}

function changes(services: Services, clock: Pick<Clock, 'now'>): readonly Method[] {
  return [
    {
      name: 'service.start',
      access: 'admin',
      help: 'Starts a service that was stopped, and returns it as service.status does. A service that runs stays as it is.',
      signatures: [['struct', 'string']],
      invoke: async (params) => {
        const name = nameIn('service.start', params);
        await services.startService(name);
        return statusOf(services, name, clock);
      },
    },
    {
      name: 'service.stop',
      access: 'admin',
      help: 'Stops a service once its reactors have processed what waits for them, and returns it as service.status does. It stays stopped until service.start or the next start of the relay.',
      signatures: [['struct', 'string']],
      invoke: async (params) => {
        const name = nameIn('service.stop', params);
        await services.stopService(name);
        return statusOf(services, name, clock);
      },
    },
  ];
}

function servicesOnWire(services: Services, clock: Pick<Clock, 'now'>): readonly Struct[] {
  return services.list().map((status) => serviceOnWire(status, clock));
}

function statusOf(services: Services, name: string, clock: Pick<Clock, 'now'>): Struct {
  const { status, nodes } = services.find(name);
  const shown = Object.fromEntries(Object.entries(nodes).map(([node, state]) => [node, { ...state }]));
  return { ...serviceOnWire(status, clock), nodes: shown };
}

function serviceOnWire(status: ServiceStatus, clock: Pick<Clock, 'now'>): Struct {
  return {
    ...serviceSummary(status, clock),
    watchers: status.watchers.map((watcher) => ({
      ...endpointOnWire(watcher, clock),
      ...{ reports: count(watcher.reports), changes: count(watcher.changes) },
    })),
    reactors: status.reactors.map((reactor) => ({
      ...endpointOnWire(reactor, clock),
      ...{ changes: count(reactor.changes), queued: reactor.queued, merged: count(reactor.merged) },
    })),
  };
}

/** A service in a few members; the reason says which endpoint does not run. */
export function serviceSummary({ name, state, up, down, watchers, reactors }: ServiceStatus, clock: Pick<Clock, 'now'>): Struct {
  const failing = state === 'degraded' ? [...watchers, ...reactors].find((endpoint) => endpoint.state.type !== 'running') : undefined;
  const why = failing && (reasonOf(failing.state, clock.now()) || failing.lastError || failing.state.type);
  return { name, state, reason: failing === undefined ? '' : `${failing.name}: ${why}`, up, down };
}

/** Every member is always present, so that typed clients can rely on it. */
function endpointOnWire(
  { name, type, node, state, restarts, lastError }: WatcherStatus | ReactorStatus,
  clock: Pick<Clock, 'now'>,
): Struct {
  return { name, type, node, state: state.type, reason: reasonOf(state, clock.now()), restarts, last_error: lastError };
}

function reasonOf(state: EndpointState, now: number): string {
  if (state.type === 'waiting') return 'its plugin is not ready';
  return state.type === 'backoff' ? `${state.reason}; it is started again in ${Math.max(0, Math.round(state.until - now))} ms` : '';
}

/** A double, since it may exceed the range of an int. */
function count(value: number): Double {
  return new Double(value);
}

function nameIn(method: string, params: readonly Value[]): string {
  const [name, ...more] = params;
  if (typeof name === 'string' && more.length === 0) return name;
  throw new RelayError('INVALID_PARAMS', `${method} takes the name of a service, a string`);
}
