/** The base class of every satellite written in TypeScript, and the port by which the plugin host gives it a voice. */
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { Log } from '../core/core.ts';
import type { Context } from './context.ts';
import { formatLog } from './logger.ts';

/** How `send` is carried out. */
export interface SendOptions {
  /** false: never written to disk, lost if the relay or a peer is down. Default true. (Dicts are kept in memory as yet either way.) */
  readonly durable?: boolean | undefined;
}

/** Where `call` looks for the method. */
export interface CallOptions {
  /** Node to call on. Default: this relay. Other nodes can be named once relays are a mesh; until then a RelayError says so. */
  readonly node?: string | undefined;
}

/** What the plugin host lends to one plugin. */
export interface Sender {
  /** `<package>.<module>.<Class>`. */
  readonly name: string;
  readonly log: Log;
  send(dict: Sendable, options: SendOptions): Promise<string>;
  call(method: string, params: readonly Sendable[], options: CallOptions): Promise<Value>;
}

/** Where the plugin host hands in the {@link Sender}; a registered symbol, so that two copies of the package meet. */
export const ATTACH: unique symbol = Symbol.for('co2-relay.attach') as never;

/** Extend it, decorate the class with `@Satellite`, and export it. Every method may be left out. */
export abstract class Plugin<Config = unknown> {
  #sender: Sender | undefined;

  /**
   * What the next version of this class is to know when the plugin is reloaded: plain data, since classes of this version are not those of
   * the next.
   * Called while nothing is received, before the next version's `setup`. If the next version then does not start, this one goes on, so
   * nothing may be
   * given away for good. Should end within `exitTimeoutMs`. If it throws, the plugin is not reloaded.
   */
  handover?(): unknown;

  /**
   * Called at a reload, before `setup`, with what `handover` of the version before answered (a class of the same name); not called if it
   * had none.
   */
  restore?(state: unknown): void | Promise<void>;

  [ATTACH](sender: Sender): void {
    this.#sender = sender;
  }

  /**
   * Called for each dict of the network, one after the other. `dict` is `{host_id, client_address, data, ...}`, deeply frozen and shared
   * with the other
   * satellites; bytes and dates in it are your own copies. What it throws is logged and disturbs nobody.
   */
  receive(_dict: Dict, _context: Context): void | Promise<void> {
    return undefined;
  }

  /**
   * Called once before the first `receive`, with the configuration of this plugin (`{}` if there is none).
   * If it throws, the relay does not start, or the version before goes on, so throw what the operator should read.
   */
  setup(_config: Config): void | Promise<void> {
    return undefined;
  }

  /** Called once when the relay stops, in reverse order of start, and when the plugin is stopped or replaced; `send` still works. */
  exit(): void | Promise<void> {
    return undefined;
  }

  /**
   * Sends a dict to all other satellites and to the peers. It needs a member `data`; `host_id` is overwritten, and so is `co2`.
   * Resolves to the message's id once the relay has taken responsibility. Works from `setup` on.
   */
  async send(dict: Sendable, options: SendOptions = {}): Promise<string> {
    return this.#attached('send').send(dict, options);
  }

  /** Calls an exposed method or a method of the relay by its full name: `await this.call('ham.spam.add', [1, 2])`. */
  async call(method: string, params: readonly Sendable[] = [], options: CallOptions = {}): Promise<Value> {
    return this.#attached('call').call(method, params, options);
  }

  /** Writes a line to the log under this plugin's category, at level info. */
  log(...parts: unknown[]): void {
    this.#attached('log').log.info(formatLog(parts));
  }

  /** The same at level debug. */
  debug(...parts: unknown[]): void {
    const { log } = this.#attached('debug');
    if (log.isDebugEnabled()) log.debug(formatLog(parts));
  }

  /** `<package>.<module>.<Class>`, or the class's name before `setup`. */
  toString(): string {
    return this.#sender?.name ?? this.constructor.name;
  }

  #attached(method: string): Sender {
    if (this.#sender) return this.#sender;
    throw new Error(`${this.constructor.name}.${method}() works from setup() on, not in the constructor`);
  }
}
