/** Accepts only dicts with the key of the network. The key is added at the origin and removed before delivery; satellites never see it. */
import { timingSafeEqual } from 'node:crypto';
import { Refusal, RelayPlugin } from 'co2-relay';
import type { Dict, HookContext, RelayHooks } from 'co2-relay';

interface Config {
  readonly key?: string;
}

@RelayPlugin()
export class KeyFilter implements RelayHooks<Config> {
  #key = Buffer.alloc(0);

  setup({ key = '' }: Config): void {
    if (key.length < 8) throw new Error('key is missing, or shorter than 8 characters');
    this.#key = Buffer.from(key);
  }

  /** Adds the key to dicts of our own satellites; a client has to send it. */
  onForward(dict: Dict, { where, from }: HookContext): object | undefined {
    if (where !== 'origin' || from.kind !== 'satellite') return undefined;
    return Object.assign({}, dict, { key: this.#key.toString() });
  }

  onAccept({ key, ...rest }: Dict): object {
    if (!this.#isRight(key)) throw new Refusal('it does not hold the key of this network');
    return rest;
  }

  #isRight(key: unknown): boolean {
    const bytes = typeof key === 'string' ? Buffer.from(key) : this.#key.subarray(1);
    return bytes.length === this.#key.length && timingSafeEqual(bytes, this.#key);
  }
}
