/** All services of a relay: started together once every endpoint is accepted, and one by one while the relay runs. */
import { RelayError, clean, suggest } from '../core/core.ts';
import type { Step } from '../core/core.ts';
import { moduleOf } from '../plugin-host/plugin-host.ts';
import type { PluginHost } from '../plugin-host/plugin-host.ts';
import type { Method } from '../rpc/rpc.ts';
import { findType } from './find-type.ts';
import type { ServiceOptions } from './options.ts';
import { watchMethod } from './other-nodes.ts';
import { Service } from './service.ts';
import type { ServiceParts, ServiceStatus } from './service.ts';

export interface ServicesParts extends Pick<ServiceParts, 'events' | 'nodes' | 'clock' | 'random' | 'log'> {
  readonly options: ServiceOptions;
  readonly pluginHost: Pick<PluginHost, 'endpoints' | 'status'>;
}

// Plugins accept one endpoint after another, each within its time limit.
const START_TIMEOUT_MS = 15 * 60_000;

export class Services {
  readonly #parts: ServicesParts;
  readonly #services: ReadonlyMap<string, Service>;

  constructor(parts: ServicesParts) {
    this.#parts = parts;
    const { options, pluginHost } = parts;
    const { services, serviceLimits: limits } = options;
    const common = { ...parts, limits, offered: () => pluginHost.endpoints() };
    this.#services = new Map(Object.entries(services).map(([name, record]) => [name, new Service({ ...common, name, record })]));
  }

  /** The start and stop of all services, as a step of those of the relay: after the plugins that have their endpoints. */
  get step(): Step {
    return {
      ...{ name: 'services', start: () => this.start(), stop: () => this.stop(), startTimeoutMs: START_TIMEOUT_MS },
      // A reactor drains, is aborted, and closes.
      stopTimeoutMs: 3 * this.#parts.options.serviceLimits.stopTimeoutMs,
    };
  }

  /** The method by which services of other nodes run watchers of this relay. */
  get watchMethod(): Method {
    const { options, pluginHost, clock } = this.#parts;
    const { acceptTimeoutMs } = options.serviceLimits;
    return watchMethod({ offered: () => pluginHost.endpoints(), shared: options.sharedWatchers, acceptTimeoutMs, clock });
  }

  /** In the order of the configuration. */
  list(): readonly ServiceStatus[] {
    return [...this.#services.values()].map(({ status }) => status);
  }

  /** Throws a RelayError INVALID_PARAMS if there is no service of this name. */
  find(name: string): Service {
    const service = this.#services.get(name);
    if (service) return service;
    throw new RelayError('INVALID_PARAMS', `there is no service '${clean(name, 100)}'${suggest(name, [...this.#services.keys()])}`);
  }

  /**
   * Has all endpoints accepted, then starts all services. Rejects with a RelayError CONFIG_INVALID if a plugin refuses the configuration of
   * an endpoint, or no plugin has it; nothing is started then. An endpoint whose plugin is down waits for it.
   */
  async start(): Promise<void> {
    const services = [...this.#services.values()];
    for (const service of services) this.#requireTypes(service);
    for (const service of services) await service.accept();
    for (const service of services) service.start();
  }

  /** Starts a service that was stopped; does nothing to one that runs. Rejects with RelayErrors INVALID_PARAMS and CONFIG_INVALID. */
  async startService(name: string): Promise<void> {
    const service = this.find(name);
    await service.stopped();
    if (service.isStarted) return;
    this.#requireTypes(service);
    await service.accept();
    service.start();
  }

  /** Stops a service as a stop of the relay does, until it is started or the relay restarts. Rejects with a RelayError INVALID_PARAMS. */
  async stopService(name: string): Promise<void> {
    await this.find(name).stop();
  }

  /** Must be called when the state of a plugin has changed. */
  readonly refresh = (): void => {
    for (const service of this.#services.values()) service.refresh();
  };

  /** Stops all services. Never rejects. */
  async stop(): Promise<void> {
    await Promise.all([...this.#services.values()].map((service) => service.stop()));
  }

  /** Throws a RelayError CONFIG_INVALID for an endpoint that no plugin has, if that is not merely down. */
  #requireTypes(service: Service): void {
    const { pluginHost } = this.#parts;
    const hasPlugin = (module: string): boolean => pluginHost.status().plugins.some((plugin) => plugin.name === module);
    for (const { role, name, type, node } of service.endpoints) {
      // What another node has is known when it is asked.
      if (node !== '') continue;
      const found = findType(pluginHost.endpoints(), role, type);
      if (!('reason' in found) || (!found.isCertain && hasPlugin(moduleOf(type)))) continue;
      throw new RelayError('CONFIG_INVALID', `services: ${service.name}.${role}s.${name}: ${found.reason}`);
    }
  }
}
