/** Transports dicts between relays of one process, without a network: a minimal transport. */
import { RelayPlugin } from 'co2-relay';
import type { Carrier, CarrierPeer, Receive, RelayHooks } from 'co2-relay';

/** Receivers by route, `a -> b`; all relays of the process share this module. */
const receivers = new Map<string, Receive>();

class MemoryCarrier implements Carrier {
  #here = '';
  #there = '';

  constructor(private readonly name: string) {}

  async connect({ url, signal }: CarrierPeer, receive: Receive): Promise<void> {
    this.#here = `${url.hostname} -> ${this.name}`;
    this.#there = `${this.name} -> ${url.hostname}`;
    receivers.set(this.#here, receive);
    signal.addEventListener('abort', () => receivers.delete(this.#here));
  }

  async send(document: Uint8Array): Promise<Uint8Array> {
    const receive = receivers.get(this.#there);
    if (!receive) throw new Error('no relay listens at this address');
    return receive(document);
  }

  async close(): Promise<void> {
    receivers.delete(this.#here);
  }
}

/** Serves `peers: [{ url: 'memory://b', address: ... }]`; its configuration has the name of this relay. */
@RelayPlugin({ carries: 'memory' })
export class Memory implements RelayHooks<{ readonly name: string }> {
  #name = '';

  setup({ name }: { readonly name: string }): void {
    this.#name = name;
  }

  createCarrier(): Carrier {
    return new MemoryCarrier(this.#name);
  }
}
