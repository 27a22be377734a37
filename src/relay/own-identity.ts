/** The identity of this relay, which is known once it listens. */
import { RelayError } from '../core/core.ts';
import type { Identity } from '../message/message.ts';

export class OwnIdentity {
  #identity: Identity | undefined;

  set(identity: Identity): void {
    this.#identity = identity;
  }

  /** Undefined before the relay listens. */
  get known(): Identity | undefined {
    return this.#identity;
  }

  /** Throws a RelayError UNAVAILABLE before the relay listens. */
  readonly get = (): Identity => {
    if (this.#identity) return this.#identity;
    throw new RelayError('UNAVAILABLE', 'the relay is not listening yet');
  };
}
