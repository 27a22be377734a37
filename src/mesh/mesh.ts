/** The links to the peer relays: forwards a message to each peer that has not had it, and knows which addresses are peers'. */
import { RelayError, hopsOf, isLoopback, parseHostId, reasonOf } from '../message/message.ts';
import type { Clock, Log, LogSource, Message } from '../message/message.ts';
import { Forward } from './forward.ts';
import type { MeshOptions } from './options.ts';
import { PeerAddress } from './peer-address.ts';
import type { Resolve } from './peer-address.ts';
import { PeerLink } from './peer-link.ts';
import type { Carrier, PeerStatus } from './peer-link.ts';

export { meshDefaults, meshShape } from './options.ts';
export type { MeshOptions } from './options.ts';
export { HttpCarrier } from './http-carrier.ts';
export { resolveBySystem } from './peer-address.ts';
export type { PeerAddress, Resolve } from './peer-address.ts';
export type { Carrier, PeerStatus } from './peer-link.ts';

export interface MeshParts {
  readonly options: MeshOptions;
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly resolve: Resolve;
  readonly carrier: (peer: PeerAddress) => Carrier;
}

export interface MeshStatus {
  readonly peers: readonly PeerStatus[];
  /** Dicts that had crossed as many relays as are allowed, and went no further. */
  readonly hopLimited: number;
}

export class Mesh {
  readonly #parts: MeshParts;
  readonly #log: Log;
  readonly #links: readonly PeerLink[];
  #hopLimited = 0;
  #hostId: string | undefined;

  constructor(parts: MeshParts) {
    this.#parts = parts;
    this.#log = parts.logs('mesh');
    this.#links = [...new Set(parts.options.peers)].map((url) => {
      const address = new PeerAddress(url, parts.resolve);
      const { options, clock, random } = parts;
      return new PeerLink({ address, carrier: parts.carrier(address), options, clock, random, log: this.#log });
    });
  }

  /** Resolves the peers' names; one that does not resolve yet is tried again whenever something is to be forwarded to it. */
  async start(hostId: string): Promise<void> {
    this.#hostId = hostId;
    await Promise.all(this.#links.map(({ address }) => this.#resolve(address)));
    this.#warnOfLoopback(hostId);
    if (this.#links.length > 0) this.#log.info(`peers: ${this.#links.map(({ address }) => address.name).join(', ')}`);
  }

  /** Forwards to every peer but those that the message has passed; returns to how many. */
  forward(message: Message): number {
    if (this.#links.length === 0 || this.#hostId === undefined) return 0;
    if (message.hopsLeft === 0) {
      this.#hopLimited++;
      this.#log.warn(`${message.id} of ${message.hostId} crossed ${hopsOf(message)} relays and goes no further`);
      return 0;
    }
    const passed = [message.hostId, ...message.via].map(parseHostId).filter((host) => host !== undefined);
    const targets = this.#links.filter(({ address }) => !passed.some((host) => address.is(host.address, host.port)));
    if (targets.length === 0) return 0;
    const forward = new Forward(message, this.#hostId, this.#parts.clock);
    for (const link of targets) link.enqueue(forward);
    return targets.length;
  }

  /** True if `address` (canonical) is one of a configured peer. */
  isPeerAddress(address: string): boolean {
    return this.#links.some((link) => link.address.addresses.includes(address));
  }

  /** Sends what waits, within the budget of the options, and closes all connections. */
  async stop(): Promise<void> {
    await Promise.all(this.#links.map((link) => link.drain(this.#parts.options.drainMs)));
  }

  status(): MeshStatus {
    return { peers: this.#links.map((link) => link.status()), hopLimited: this.#hopLimited };
  }

  async #resolve(address: PeerAddress): Promise<void> {
    try {
      await address.refresh();
    } catch (error) {
      if (!RelayError.is(error)) throw error;
      this.#log.warn(`peer ${address.name}: ${reasonOf(error)}; it is tried again`);
    }
  }

  /** A loopback host_id means nothing on another machine: peers there refuse it. */
  #warnOfLoopback(hostId: string): void {
    const self = parseHostId(hostId);
    const far = this.#links.filter(({ address }) => address.addresses.length > 0 && !address.isLocal);
    if (!self || !isLoopback(self.address) || far.length === 0) return;
    const names = far.map(({ address }) => address.name).join(', ');
    this.#log.warn(
      `${names} will refuse our dicts: this relay names itself ${self.address}; set host or publicAddress to its address on the network`,
    );
  }
}
