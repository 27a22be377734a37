/** The base class of satellites written in TypeScript, and the interface through which the plugin host lets them send, call and log. */
import type { Dict, Sendable, Value } from '../values/values.ts';
import type { Log } from '../core/core.ts';
import type { Context } from './context.ts';
import { formatLog } from './logger.ts';

/**
 * Whom a dict is for: a node by its id or nick (`'cellar'`, `{ node: 'cellar' }`), several nodes, or the nearest one that offers something,
 * such as `{ any: 'work:render' }` or `{ any: 'method:ham.spam.add' }`.
 */
export type SendTo = string | { readonly node: string } | { readonly group: readonly string[] } | { readonly any: string };

/** How a dict is sent. */
export interface SendOptions {
  /**
   * The nodes whose satellites receive it; a node that is down gets it when it is back. Default: everybody. Only a relay in a mesh can
   * send to nodes.
   */
  readonly to?: SendTo | undefined;
  /**
   * false: the dict is never written to disk, so that `send` does not wait for it; durable satellites, and nodes that are away, may miss
   * it.
   * Default true: it is stored if a durable satellite or another node receives it.
   */
  readonly durable?: boolean | undefined;
  /** ms after which it is not delivered to other nodes any more. Default a day, or 30 s if it is not durable. At most a week. */
  readonly ttlMs?: number | undefined;
  /**
   * true: on its way to other nodes it does not overtake an earlier one that was sent with `ordered`. Default false: one that is sent again
   * after a failure may arrive later.
   */
  readonly ordered?: boolean | undefined;
}

/** What became of a dict that a satellite sent to other nodes. */
export interface DeliveryReport {
  /** As `send` returned it. */
  readonly id: string;
  /**
   * `delivered`: a node to which it was addressed has stored it. `expired`: it was not delivered in time. `rejected`: a relay, or a relay
   * plugin there, does not take it. `dead-letter`: the receiver crashed again and again over it. `dropped`: too much waited for the node.
   */
  readonly status: 'delivered' | 'expired' | 'rejected' | 'dead-letter' | 'dropped';
  /** Why, for people; empty if it was delivered. */
  readonly reason: string;
  /** The id of the node that it concerns; undefined if it is none in particular. */
  readonly node: string | undefined;
}

/** Where `call` looks for the method. */
export interface CallOptions {
  /** The node of the mesh whose method is called: its id, or its nick if only one node has it. Default: this relay. */
  readonly node?: string | undefined;
}

/** What the plugin host provides to one satellite. */
export interface Sender {
  /** `<package>.<module>.<Class>`. */
  readonly name: string;
  readonly log: Log;
  send(dict: Sendable, options: SendOptions): Promise<string>;
  call(method: string, params: readonly Sendable[], options: CallOptions): Promise<Value>;
}

/**
 * The method through which the plugin host sets the {@link Sender}. A registered symbol, so that two copies of the package work together.
 */
export const ATTACH: unique symbol = Symbol.for('co2-relay.attach') as never;

/** Extend it, decorate the class with `@Satellite`, and export it. Every method is optional. */
export abstract class Plugin<Config = unknown> {
  #sender: Sender | undefined;

  /**
   * Returns the state for the next version of this class when the plugin is reloaded: plain data, since the classes of the two versions
   * differ. Called while no message is being received, before the `setup` of the next version. If the next version does not start, this
   * one keeps running, so do not release anything here. Should end within `exitTimeoutMs`. If it throws, the plugin is not reloaded.
   */
  handover?(): unknown;

  /**
   * Called at a reload, before `setup`, with the state that `handover` of the previous version returned (of the class of the same name).
   * Not called if that version has no `handover`.
   */
  restore?(state: unknown): void | Promise<void>;

  [ATTACH](sender: Sender): void {
    this.#sender = sender;
  }

  /**
   * Called for each dict of the network, one at a time. `dict` is `{host_id, client_address, data, ...}`, deeply frozen and shared with the
   * other satellites, except that bytes and dates in it are your own copies. An error is logged and affects no other satellite.
   */
  receive(_dict: Dict, _context: Context): void | Promise<void> {
    return undefined;
  }

  /**
   * Called with what became of a dict that this satellite sent: once for each node to which a durable one was addressed and delivered, and
   * once for everything else that happened to it, also if the relay was restarted meanwhile. One call at a time. An error is logged.
   */
  onDelivery(_report: DeliveryReport): void | Promise<void> {
    return undefined;
  }

  /**
   * Called once before the first `receive`, with the configuration of this plugin (`{}` if there is none). If it throws, the plugin is
   * tried again later (with `strictStart`, the relay does not start), or the previous version keeps running, so throw an error that says
   * what to do.
   */
  setup(_config: Config): void | Promise<void> {
    return undefined;
  }

  /** Called once when the relay stops, in reverse order of start, and when the plugin is stopped or replaced. `send` still works. */
  exit(): void | Promise<void> {
    return undefined;
  }

  /**
   * Sends a dict to all other satellites and to all other relays, or to the nodes that `to` names. It needs a member `data`; `host_id` and
   * `co2` are overwritten. Resolves to the id of the message once the relay has taken responsibility: once it is stored, if a durable
   * satellite or another node receives it. Rejects with a RelayError if it cannot be stored, or `to` names no node; satellites of this
   * relay may have received it even then. Works from `setup` on.
   */
  async send(dict: Sendable, options: SendOptions = {}): Promise<string> {
    return this.#attached('send').send(dict, options);
  }

  /** Calls an exposed method or a method of the relay by its full name: `await this.call('ham.spam.add', [1, 2])`. */
  async call(method: string, params: readonly Sendable[] = [], options: CallOptions = {}): Promise<Value> {
    return this.#attached('call').call(method, params, options);
  }

  /** Writes a line at level info to the log of this plugin, formatted as by util.format; dicts are shown like plain objects. */
  log(...parts: unknown[]): void {
    const { log } = this.#attached('log');
    if (log.isInfoEnabled()) log.info(formatLog(parts));
  }

  /** Writes a line at level debug. */
  debug(...parts: unknown[]): void {
    const { log } = this.#attached('debug');
    if (log.isDebugEnabled()) log.debug(formatLog(parts));
  }

  /** `<package>.<module>.<Class>`, or the name of the class before `setup`. */
  toString(): string {
    return this.#sender?.name ?? this.constructor.name;
  }

  #attached(method: string): Sender {
    if (this.#sender) return this.#sender;
    throw new Error(`${this.constructor.name}.${method}() works from setup() on, not in the constructor`);
  }
}
