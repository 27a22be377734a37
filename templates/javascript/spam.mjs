// @ts-check
/** ham.spam: describe here what it does. */
import { Exposed, Plugin, Satellite } from 'co2-relay';

/** Answers every ping, and counts them. */
export class Spam extends Plugin {
  #pings = 0;

  /** Called for each dict of the network, one at a time. */
  async receive(/** @type {import('co2-relay').Dict} */ dict, /** @type {import('co2-relay').Context} */ context) {
    if (dict.data !== 'ping') return;
    this.#pings++;
    await this.send({ data: { pong: dict.host_id, hops: context.hops } });
  }

  /** Returns the number of pings so far. A comment like this one becomes the method's help. */
  pings() {
    return this.#pings;
  }

  /** Adds two numbers. */
  add(/** @type {number} */ a, /** @type {number} */ b) {
    return a + b;
  }
}

// JavaScript has no decorators yet, so they are called.
Satellite()(Spam);
Exposed({ params: [], returns: 'int' })(Spam.prototype, 'pings');
Exposed({ params: ['int', 'int'], returns: 'int' })(Spam.prototype, 'add');
