/** What the host runs: plugins, each with a name, a life and lines; and what a plugin is told of by its state. */
import type { Kept } from '../loader/loader.mjs';
import type { HostedMethod } from './exposed.ts';
import type { SatelliteLine } from './line.ts';
import type { RelayPort, SatelliteStatus } from './satellite.ts';

/** Where a plugin runs: a module in this process, a module in a process of its own, a program in any language. */
export type PluginKind = 'inline' | 'child' | 'program';

/**
 * The life of a plugin. `busy`: it works on calls and may answer late. `unresponsive`: it misses its pings. `backoff`: it ended, and is started again at `until`
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
  readonly type: 'plugin-state';
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
  /** Makes it ready, or throws why it is not (PLUGIN_REFUSED, CONFIG_INVALID). `port` is where it sends and calls; its methods are exposed there by itself. */
  start(port: RelayPort): Promise<void>;
  /** Ends it within its time limits, and withdraws its methods. Never rejects. */
  stop(): Promise<void>;
  /** Ends it and starts it as it is by now, or throws why not. Default: `stop`, then `start`. */
  restart?(): Promise<void>;
  /** Puts what it is by now in the place of what runs, without losing a message, or throws why not. Default: as `restart`. */
  reload?(): Promise<void>;
}
