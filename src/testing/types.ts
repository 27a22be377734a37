/** What a test sees of a test relay, and what it may ask for. */
import type { AppStatus } from '../app.ts';
import type { Config } from '../config/config.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { LogLine } from './logs.ts';
import type { TestPlugins } from './plugin-files.ts';
import type { TestClock } from './test-clock.ts';

export interface TestRelayOptions {
  /** Classes decorated with `@Satellite`: a list, whose modules are `test.<class>`, or by module, `{ 'ham.spam': Spam }`. Default none. */
  readonly plugins?: TestPlugins | undefined;
  /** A directory of plugins, instead of classes; a relative one starts from the working directory. */
  readonly pluginsDir?: string | URL | undefined;
  /**
   * Options as in config.ts; plugins are configured in its `plugins`. Default: the defaults, but that plugins of npm packages are not
   * loaded, and nothing is watched.
   */
  readonly config?: Omit<Config, 'pluginsDir' | 'peers' | 'dataDir'> | undefined;
  /** Test relays to link it to. Default none. */
  readonly peers?: readonly TestRelay[] | undefined;
  /** Default: that of the first of `peers`, else one of its own. */
  readonly clock?: TestClock | undefined;
  /**
   * ms of real time after which waiting for what does not happen is an error. Default 2,000: before a test runner gives up, which could not
   * say why.
   */
  readonly patienceMs?: number | undefined;
}

/** Who calls: a program on this machine, somebody on another one, or the operator with the admin token. */
export type TestCaller = 'local' | 'anonymous' | 'admin';

/** A relay that runs in memory. */
export interface TestRelay {
  readonly hostId: string;
  /** The time of the relay. */
  readonly clock: TestClock;
  /** The dicts that satellites here sent, oldest first: plain objects, with `host_id` and `client_address` as others get them. */
  readonly sent: readonly Dict[];
  /** All that was logged. */
  readonly logs: readonly LogLine[];
  /** Texts of the lines at level error: what a `receive` or an `exit` threw stands there, since it disturbs nobody else. */
  readonly errors: readonly string[];
  /**
   * Hands in a dict, as `notify` does, and resolves to its id once all satellites have dealt with it, here and in joined relays, and with
   * what they sent.
   * A `host_id` in it is believed. Rejects with a RelayError if the relay refuses it, and with an Error if it is not dealt with in time.
   */
  deliver(dict: Sendable): Promise<string>;
  /** The next dict that a satellite here sends; each is answered once, oldest first. Rejects if none comes in time. */
  nextSent(): Promise<Dict>;
  /**
   * Calls a method by its full name, as a client: structs come back as plain objects. Rejects with a RemoteFault, whose `cause` is what was
   * thrown.
   */
  call(method: string, params?: readonly Sendable[], options?: { readonly as?: TestCaller | undefined }): Promise<Value>;
  /** Resolves once nothing is under way between satellites and joined relays. */
  settled(): Promise<void>;
  status(): AppStatus;
  /** Lets plugins exit and ends the relay; calling it again waits for the same end. */
  stop(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
