/** The interface of a test relay, and its options. */
import type { AppStatus } from '../app.ts';
import type { Config } from '../config/config.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { LogLine } from './logs.ts';
import type { TestPlugins } from './plugin-files.ts';
import type { TestClock } from './test-clock.ts';

/** The options of `createTestRelay`. */
export interface TestRelayOptions {
  /** Classes decorated with `@Satellite`: a list, whose modules are `test.<class>`, or by module, `{ 'ham.spam': Spam }`. Default none. */
  readonly plugins?: TestPlugins | undefined;
  /** A plugins directory, instead of classes; a relative path starts from the working directory. */
  readonly pluginsDir?: string | URL | undefined;
  /**
   * Options as in config.ts; plugins are configured in its `plugins`. Default: the defaults, except that plugins of npm packages are not
   * loaded, and files are not watched.
   */
  readonly config?: Omit<Config, 'pluginsDir' | 'peers' | 'dataDir'> | undefined;
  /** Test relays to link it to. Default none. */
  readonly peers?: readonly TestRelay[] | undefined;
  /** Default: the clock of the first of `peers`, or else a new one. */
  readonly clock?: TestClock | undefined;
  /**
   * ms of real time after which a wait fails; time in which the process is busy does not count, up to five times as much. Default 2,000:
   * less than the timeouts of test runners, whose errors would not say why.
   */
  readonly patienceMs?: number | undefined;
}

/** The caller: a program on this machine, one on another machine, or the operator with the admin token. */
export type TestCaller = 'local' | 'anonymous' | 'admin';

/** What a unit of work is submitted with. */
export interface TestSubmission {
  /** Default: empty. */
  readonly payload?: string | Uint8Array | undefined;
  /** Default none. */
  readonly params?: Readonly<Record<string, Sendable>> | undefined;
  /** Default `local`. */
  readonly as?: TestCaller | undefined;
}

/** How a unit of work ended. */
export interface TestWork {
  /** Its id. */
  readonly unit: string;
  readonly state: string;
  /** Why it did not succeed; `''` if it did. */
  readonly reason: string;
  readonly results: readonly Value[];
}

/** A frame of a recording or a command. */
export interface TestFrame {
  readonly source: string;
  readonly type: string;
  readonly timestamp: number;
  readonly payload: Buffer;
}

/** How a command ended. */
export interface TestCommand {
  readonly state: string;
  /** Why it did not succeed; `''` if it did. */
  readonly reason: string;
  readonly frames: readonly TestFrame[];
}

/** A relay that runs in memory. */
export interface TestRelay {
  readonly hostId: string;
  /** The clock of the relay. */
  readonly clock: TestClock;
  /** The dicts that satellites of this relay sent, oldest first: plain objects, with `host_id` and `client_address` as others get them. */
  readonly sent: readonly Dict[];
  /** All that was logged. */
  readonly logs: readonly LogLine[];
  /** The texts of the lines at level error, such as the errors of `receive` and `exit`, which are only logged. */
  readonly errors: readonly string[];
  /**
   * Submits a dict, as `notify` does, and resolves to its id once all satellites, here and in linked relays, have processed it and the
   * dicts that they sent. A `host_id` in it is trusted. Rejects with a RelayError if the relay refuses it, and with TIMEOUT if it is not
   * processed in time.
   */
  deliver(dict: Sendable): Promise<string>;
  /**
   * The next dict that a satellite of this relay sends; each is returned once, oldest first. Rejects with a RelayError TIMEOUT if none is
   * sent in time.
   */
  nextSent(): Promise<Dict>;
  /**
   * Calls a method by its full name, as a client; structs in the result are plain objects. Rejects with a RemoteFault, whose `cause` is the
   * error that the method threw.
   */
  call(method: string, params?: readonly Sendable[], options?: { readonly as?: TestCaller | undefined }): Promise<Value>;
  /**
   * Submits a unit of work, `ham.spam:render`, and resolves once it has ended, whether it succeeded or failed. Structs in the results are
   * plain objects. Rejects with a RemoteFault if the relay refuses it, and with a RelayError TIMEOUT if it does not end in
   * time.
   */
  work(type: string, submission?: TestSubmission): Promise<TestWork>;
  /**
   * Starts the recording of a datasource, `ham.spam` or `ham.spam:record`, resolves to its first `count` frames (default 1), and stops it.
   * Rejects with a RemoteFault if there is none, and with an Error if the frames do not come in time, or the recording fails.
   */
  record(name: string, count?: number): Promise<readonly TestFrame[]>;
  /**
   * Sends a frame to a controller and resolves once the command has ended. Rejects with a RemoteFault if the relay refuses it, and with an
   * Error if it does not end in time.
   */
  command(
    name: string,
    frame: { readonly type: string; readonly payload: string | Uint8Array; readonly source?: string },
    options?: { readonly as?: TestCaller | undefined },
  ): Promise<TestCommand>;
  /** Resolves once all satellites and linked relays are idle. */
  settled(): Promise<void>;
  status(): AppStatus;
  /**
   * Stops the relay and starts it again with what it has stored: messages of durable satellites, units of work, dead letters. Satellites
   * are constructed again. With `crash: true` its power fails first: what was not yet stored is lost, and what it does afterwards, such as
   * the `exit` of plugins, is not stored. Links to other test relays are made again. Rejects as `createTestRelay` does.
   */
  restart(options?: { readonly crash?: boolean | undefined }): Promise<void>;
  /** Lets plugins exit and stops the relay; further calls return the same promise. */
  stop(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}
