/** What the host runs: plugins, each with a name, a life and lines; and what a plugin is told of by its state. */
import type { Kept } from '../../loader/loader.mjs';
import type { QueueStatus } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { Message } from '../../message/message.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { CallOptions, SendOptions } from '../../plugin/for-host.ts';

/** `[result, ...parameters]`, one for each way to call; undefined where a type is not known. */
export type Signature = readonly (readonly string[])[] | undefined;

/** What the plugin host calls back. `satellite` is the name of the one that sends or calls. */
export interface RelayPort {
  /**
   * Makes these, and no others, the callable methods of the plugin of this name. Throws a RelayError PLUGIN_REFUSED, and changes nothing,
   * if one has the name of another's.
   */
  expose(plugin: string, methods: readonly HostedMethod[]): void;
  send(satellite: string, dict: Sendable, options: SendOptions): Promise<string>;
  call(satellite: string, method: string, params: readonly Sendable[], options: CallOptions): Promise<Value>;
}

/** The life of a satellite, in this order; `refused` instead of `running` ends the start. */
export type SatelliteState =
  | { readonly type: 'constructed' }
  | { readonly type: 'setting-up' }
  | { readonly type: 'running' }
  | { readonly type: 'refused'; readonly reason: string }
  | { readonly type: 'exiting' }
  | { readonly type: 'exited'; readonly reason?: string | undefined };

/** Something happened to a satellite. */
export interface SatelliteEvent {
  readonly type: 'satellite.state';
  readonly satellite: string;
  readonly state: SatelliteState;
}

export interface SatelliteStatus extends LineCounters {
  /** `<package>.<module>.<Class>` */
  readonly name: string;
  readonly module: string;
  /** As people are told of it: `ham/spam.ts`, `node_modules/co2-ham/dist/spam.js`. */
  readonly file: string;
  readonly state: SatelliteState;
}

/** Where a plugin runs: a module in this process, a module in a process of its own, a program in any language. */
export type PluginKind = 'inline' | 'child' | 'program';

/**
 * The life of a plugin. `busy`: it works on calls and may answer late. `unresponsive`: it misses its pings. `backoff`: it ended, and is
 * started again at `until`
 * (the host's clock). `failed`: not started again by itself. `left-out`: what is there cannot run; the reason says why.
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
  | { readonly type: 'left-out'; readonly reason: string };

/** A plugin changed its state. */
export interface PluginEvent {
  readonly type: 'plugin.state';
  readonly plugin: string;
  readonly state: PluginState;
}

export interface PluginStatus {
  /** `ham.spam`, or the name of a program. */
  readonly name: string;
  readonly kind: PluginKind;
  readonly state: PluginState;
  /** As people are told of it: `ham/spam.ts`, the command of a program. */
  readonly file: string;
  /** What it says its version is. */
  readonly version?: string | undefined;
  /** What this process keeps of versions that no longer run, since it never forgets a module; undefined for a process of its own. */
  readonly kept?: Kept | undefined;
  /** What of it runs as it was when the relay first imported it though it has changed: CommonJS, packages. Default: nothing. */
  readonly notReloaded?: readonly string[] | undefined;
  /** Times that it was started again by itself, or reloaded, since the relay started. */
  readonly restarts: number;
  /** Why it last failed to start, to reload or to live; kept when it is well again. */
  readonly lastError?: string | undefined;
  /** Times that it held the event loop longer than `loopWarningMs`; undefined for a process, which has one of its own. */
  readonly held?: number | undefined;
  /** Of a process. */
  readonly pid?: number | undefined;
  readonly satellites: readonly SatelliteStatus[];
}

/** One plugin, as the host deals with it. Its changes of state are told by the `onEvent` that it was made with. */
export interface HostedPlugin {
  readonly name: string;
  readonly status: PluginStatus;
  /** The lines of its satellites. The same array as long as they are the same. */
  readonly receivers: readonly SatelliteLine[];
  /** What is callable now. */
  readonly methods: readonly HostedMethod[];
  /**
   * Makes it ready, or throws why it is not (PLUGIN_REFUSED, CONFIG_INVALID). `port` is where it sends and calls; its methods are exposed
   * there by itself.
   */
  start(port: RelayPort): Promise<void>;
  /** Ends it within its time limits, and withdraws its methods. Never rejects. */
  stop(): Promise<void>;
  /** Ends it and starts it as it is by now, or throws why not. Default: `stop`, then `start`. */
  restart?(): Promise<void>;
  /** Puts what it is by now in the place of what runs, without losing a message, or throws why not. Default: as `restart`. */
  reload?(): Promise<void>;
}

export interface SatelliteLine {
  /** The satellite's. */
  readonly name: string;
  /** True if `next` would deliver. */
  readonly isReady: boolean;
  /** The pump's mark: it has this line among those to be called. */
  isQueued: boolean;
  /** Puts a message into the line; false if the satellite takes none. */
  take(message: Message): boolean;
  /** Delivers the next message. Never throws. */
  next(): void;
}

/** How a satellite's line stands, and what became of what was in it. */
export interface LineCounters extends QueueStatus {
  /** Messages that its `receive` took. */
  readonly delivered: number;
  /** Messages that it threw at or outlived. */
  readonly failed: number;
  /** Messages that came while it took none. */
  readonly refused: number;
}

/** Those of a satellite that has no line. */
export const NO_LINE: LineCounters = { waiting: 0, bytes: 0, oldestMs: 0, delivered: 0, failed: 0, dropped: 0, merged: 0, refused: 0 };
