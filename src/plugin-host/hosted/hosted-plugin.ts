/** The host's view of every kind of plugin: its states and status, the events that it reports, and the registry of all plugins. */
import { clean, RelayError, suggest } from '../../core/core.ts';
import type { Log, LogSource } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import type { RetainedVersions } from '../../loader/loader.mjs';
import type { CallOptions, DeliveryReport, SendOptions } from '../../plugin/internal.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { TRANSIENT_INBOX_EVENTS, logInboxEvent } from './inbox-events.ts';
import type { InboxEvent } from './inbox-events.ts';
import type { HostedController, HostedDatasource } from './hosted-recording.ts';
import type { HostedEndpointType } from './hosted-endpoints.ts';
import type { HostedWork } from './hosted-work.ts';
import type { Inbox, InboxCounters } from './inbox.ts';
import { compare } from './module-file.ts';
import { placeOf } from './problem.ts';
import type { PluginProblem } from './problem.ts';

/** `[result, ...parameters]` for each form in which a method can be called. Undefined if a type is unknown. */
export type Signature = readonly (readonly string[])[] | undefined;

/** The functions of the relay that the plugin host calls. `satellite` is the name of the satellite that sends or calls. */
export interface RelayPort {
  /**
   * Makes these methods, and no others, callable for the plugin of this name. Throws a RelayError PLUGIN_REFUSED, and changes nothing, if
   * another plugin has a method of the same name.
   */
  expose(plugin: string, methods: readonly HostedMethod[]): void;
  /**
   * `generation`: how many messages in a row, this one included, were sent in answer to one another; 0 if it answers none.
   */
  send(satellite: string, dict: Sendable, options: SendOptions, generation: number): Promise<string>;
  call(satellite: string, method: string, params: readonly Sendable[], options: CallOptions): Promise<Value>;
}

/** The states of a satellite, in this order. `refused` replaces `running` and ends the start. */
export type SatelliteState =
  | { readonly type: 'constructed' }
  | { readonly type: 'setting-up' }
  | { readonly type: 'running' }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'exiting' }
  | { readonly type: 'exited'; readonly reason?: string | undefined };

export interface SatelliteStatus extends InboxCounters {
  /** `<package>.<module>.<Class>` */
  readonly name: string;
  readonly module: string;
  /** For people: `ham/spam.ts`, `node_modules/co2-ham/dist/spam.js`. */
  readonly file: string;
  readonly state: SatelliteState;
}

/** Where a plugin runs: a module in this process, a module in a process of its own, a program in any language. */
export type PluginKind = 'inline' | 'child' | 'program';

/**
 * The states of a plugin. `busy`: it is processing calls and may answer late. `unresponsive`: it misses its pings. `backoff`: it ended, and
 * is restarted at `until` (the host's clock). `failed`: it is not restarted automatically. `not-loaded`: it cannot run; the reason says
 * why. `empty`: its file was loaded, but it does nothing.
 */
export type PluginState =
  | { readonly type: 'stopped' }
  | { readonly type: 'starting' }
  | { readonly type: 'ready' }
  | { readonly type: 'busy' }
  | { readonly type: 'unresponsive'; readonly missed: number }
  | { readonly type: 'reloading' }
  | { readonly type: 'stopping' }
  | { readonly type: 'backoff'; readonly attempt: number; readonly until: number }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'not-loaded'; readonly reason: string }
  | { readonly type: 'empty'; readonly reason: string };

export interface PluginStatus {
  /** `ham.spam`, or the name of a program. */
  readonly name: string;
  readonly kind: PluginKind;
  readonly state: PluginState;
  /** For people: `ham/spam.ts`, the command of a program. */
  readonly file: string;
  /** The version that it declares. */
  readonly version?: string | undefined;
  /** What this process retains of versions that no longer run, since Node never unloads a module. Undefined for a process of its own. */
  readonly kept?: RetainedVersions | undefined;
  /** Files that run as they were first imported, though they have changed: CommonJS, packages. Default: none. */
  readonly notReloaded?: readonly string[] | undefined;
  /** How often it was restarted automatically, or reloaded, since the relay started. */
  readonly restarts: number;
  /** Why it last failed to start, to reload or to keep running, or a method of it failed. Kept until another version of it runs. */
  readonly lastError?: string | undefined;
  /** Why its current version does not run, while an older one does. Undefined if the current version runs, or none. */
  readonly reloadError?: string | undefined;
  /** How often it blocked the relay's event loop for longer than `loopWarningMs`. Undefined for a process of its own. */
  readonly held?: number | undefined;
  /** Of a process. */
  readonly pid?: number | undefined;
  readonly satellites: readonly SatelliteStatus[];
}

/** A plugin changed its state. */
export interface PluginEvent {
  readonly type: 'plugin.state';
  readonly plugin: string;
  readonly state: PluginState;
}

/** A satellite changed its state. */
export interface SatelliteEvent {
  readonly type: 'satellite.state';
  readonly satellite: string;
  readonly state: SatelliteState;
}

/** A file, a class or a new version of a plugin does not run. */
export interface ProblemEvent {
  readonly type: 'plugin.problem';
  readonly problem: PluginProblem;
  /** The plugin whose log has it. Default: it is logged by the host. */
  readonly plugin?: string | undefined;
  /** What that means: `not loaded`, `not reloaded, the previous version keeps running`. */
  readonly outcome: string;
  /** The lines of the source around the place. */
  readonly rows: readonly string[];
}

/** The version of a plugin that runs is another one now, or the plugin is gone. */
export interface VersionEvent {
  readonly type: 'plugin.version';
  readonly plugin: string;
  readonly change: 'loaded' | 'reloaded' | 'restarted' | 'unloaded';
  /** For people. */
  readonly file: string;
  /** ms that a reload took. */
  readonly ms?: number | undefined;
  /** Files of it that still run as they were first imported. Default: none. */
  readonly notReloaded?: readonly string[] | undefined;
}

/** A method of a plugin threw, broke its declaration, or did not answer in time. */
export interface MethodFailedEvent {
  readonly type: 'plugin.method_failed';
  readonly plugin: string;
  readonly method: string;
  /** With the place in the plugin's code. */
  readonly reason: string;
  /** The id that the caller got, if it did not get the reason. */
  readonly id: string | undefined;
  /** What it threw, if that was an Error. */
  readonly stack: string | undefined;
}

/** Whatever is saved in this plugins directory from now on is noticed. */
export interface WatchEvent {
  readonly type: 'plugins.watched';
  /** Absolute; the target of the option if that is a link. */
  readonly directory: string;
}

/** A save seems to be incomplete: files are gone or shorter than before, so nothing of them is loaded yet. */
export interface UnsettledEvent {
  readonly type: 'plugins.unsettled';
}

/** Everything that the plugin host reports. */
export type HostEvent =
  PluginEvent | SatelliteEvent | ProblemEvent | VersionEvent | MethodFailedEvent | WatchEvent | UnsettledEvent | InboxEvent;

/** Events that may occur once per message or reload. */
export const TRANSIENT_HOST_EVENTS = TRANSIENT_INBOX_EVENTS;

/** The events that {@link hostLogger} logs. */
export const LOGGED_HOST_EVENTS = [
  'plugin.state',
  'satellite.state',
  'plugin.problem',
  'plugin.version',
  'plugin.method_failed',
  'plugins.watched',
  'plugins.unsettled',
  'inbox.failed',
  'inbox.paused',
  'inbox.dropped',
  'inbox.full',
  'inbox.dead-letter',
] as const satisfies readonly HostEvent['type'][];

type LoggedHostEvent = Extract<HostEvent, { readonly type: (typeof LOGGED_HOST_EVENTS)[number] }>;

/** The outcome in `plugin.problem` for a file or class that does not run while others do. */
export const NOT_LOADED = 'not loaded';

/** Reports that a file or a class does not run, with the lines of the source around the place. */
export function reportNotLoaded(events: EventSink<HostEvent>, problem: PluginProblem, rows: readonly string[] = []): void {
  events.emit({ type: 'plugin.problem', problem, outcome: NOT_LOADED, rows });
}

/** Returns the subscriber that logs {@link LOGGED_HOST_EVENTS}, those of methods and inboxes in the log of the plugin. */
export function hostLogger(logs: LogSource): (event: LoggedHostEvent) => void {
  const log = logs('plugin-host');
  return (event) => {
    switch (event.type) {
      case 'plugin.problem':
        logProblem(event, event.plugin === undefined ? log : logs(`plugin.${event.plugin}`));
        break;
      case 'plugin.version':
        logVersion(event, log);
        break;
      case 'plugin.method_failed':
        logFailedMethod(event, logs(`plugin.${event.plugin}`));
        break;
      case 'plugins.watched':
        log.debug(`watching ${clean(event.directory)}`);
        break;
      case 'plugins.unsettled':
        log.debug('files are gone or shorter than before: waiting for the save to be complete');
        break;
      case 'plugin.state':
        if (log.isDebugEnabled()) log.debug(`${event.plugin} is ${event.state.type}`);
        break;
      case 'satellite.state':
        if (log.isDebugEnabled()) log.debug(`${event.satellite} is ${event.state.type}`);
        break;
      default:
        logInboxEvent(event, logs(`plugin.${event.plugin}`));
    }
  };
}

function logFailedMethod({ method, reason, id, stack }: MethodFailedEvent, log: Log): void {
  log.error(`${method} failed${id === undefined ? '' : ` (error ${id})`}: ${reason}`);
  if (stack !== undefined && log.isDebugEnabled()) log.debug(stack);
}

function logProblem({ problem, outcome, rows }: ProblemEvent, log: Log): void {
  for (const text of [`${placeOf(problem)}: ${outcome}: ${problem.reason}`, ...rows]) log.error(text);
}

function logVersion({ plugin, change, file, ms, notReloaded = [] }: VersionEvent, log: Log): void {
  const place = clean(file);
  if (change === 'unloaded') log.info(`${plugin} unloaded: ${place} is gone, or no longer to be loaded`);
  else if (change === 'loaded') log.info(`${plugin} loaded (${place})`);
  else {
    const text = change === 'reloaded' ? `${plugin} reloaded in ${ms ?? 0} ms (${place})` : `${plugin} restarted`;
    if (notReloaded.length > 0)
      log.warn(
        `${text}, but with the old code of ${notReloaded.join(', ')}, which a process can import only once: restart the relay, or run the plugin in a child (isolation: 'child')`,
      );
    else log.info(text);
  }
}

/** What a plugin offers besides methods. */
export interface Offers {
  readonly work: readonly HostedWork[];
  readonly datasources: readonly HostedDatasource[];
  readonly controllers: readonly HostedController[];
  /** Its watchers and reactors. */
  readonly endpoints: readonly HostedEndpointType[];
}

export const NO_OFFERS: Offers = { work: [], datasources: [], controllers: [], endpoints: [] };

/** One plugin as the host sees it. It reports changes of its state as events. */
export interface HostedPlugin {
  readonly name: string;
  readonly status: PluginStatus;
  /** The inboxes of its satellites. The same array as long as nothing changes. */
  readonly inboxes: readonly Inbox[];
  /** The methods that are callable now. */
  readonly methods: readonly HostedMethod[];
  /** What it offers now besides methods. */
  readonly offers: Offers;
  /**
   * Starts it, and exposes its methods at `port`, through which it also sends and calls. Rejects with the reason why it does not run
   * (PLUGIN_REFUSED, CONFIG_INVALID).
   */
  start(port: RelayPort): Promise<void>;
  /** Ends it within its time limits, and withdraws its methods. Never rejects. */
  stop(): Promise<void>;
  /** Ends it and starts its current version. Rejects with the reason why that does not run. Default: `stop`, then `start`. */
  restart?(): Promise<void>;
  /**
   * Reports to one of its satellites what became of a message. Rejects with what the satellite throws, or with a RelayError UNAVAILABLE if
   * it is not running now.
   */
  reportDelivery(satellite: string, report: DeliveryReport): Promise<void>;
  /** Keeps the failure of one of its methods as its last error. Returns the reason, with the place in its code. */
  noteFailure(method: string, error: unknown): string;
  /**
   * Replaces the running version by the current one without losing a message. Rejects with the reason if it cannot. Default: as `restart`.
   */
  reload?(): Promise<void>;
}

/** The plugins of a host by name, and the inboxes to which messages are delivered. */
export class PluginRegistry {
  readonly #plugins = new Map<string, HostedPlugin>();
  #inboxes: readonly Inbox[] = [];

  /** In the order in which they were added: modules in order of their names, then programs. */
  get all(): readonly HostedPlugin[] {
    return [...this.#plugins.values()];
  }

  /** The inboxes of the satellites of all plugins. */
  get inboxes(): readonly Inbox[] {
    return this.#inboxes;
  }

  has(name: string): boolean {
    return this.#plugins.has(name);
  }

  /** Throws a RelayError INVALID_PARAMS if there is no plugin of this name. */
  find(name: string): HostedPlugin {
    const plugin = this.#plugins.get(name);
    if (plugin) return plugin;
    const known = [...this.#plugins.keys()].sort(compare);
    throw noSuchPlugin(name, known);
  }

  /** Adds a plugin. False if there is another one of its name. */
  add(plugin: HostedPlugin): boolean {
    if (this.has(plugin.name)) return false;
    this.#plugins.set(plugin.name, plugin);
    this.refreshInboxes();
    return true;
  }

  remove(name: string): void {
    this.#plugins.delete(name);
    this.refreshInboxes();
  }

  /** Must be called when the satellites of a plugin have changed. */
  refreshInboxes(): void {
    this.#inboxes = this.all.flatMap(({ inboxes }) => inboxes);
  }
}

/** A RelayError INVALID_PARAMS that suggests a name among `known`. */
export function noSuchPlugin(name: string, known: readonly string[]): RelayError {
  return new RelayError('INVALID_PARAMS', `there is no plugin '${clean(name, 60)}'${suggest(name, known)}`, {
    data: { reason: 'unknown-name' },
  });
}
