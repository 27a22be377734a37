/** ham.spam: describe here what it does. */
import { Exposed, Plugin, Satellite, type Context, type Dict } from 'co2-relay';

/** Answers every ping, and counts them. */
@Satellite()
export class Spam extends Plugin {
  #pings = 0;

  /** Called for each dict of the network, one at a time. */
  override async receive(dict: Dict, context: Context): Promise<void> {
    if (dict.data !== 'ping') return;
    this.#pings++;
    await this.send({ data: { pong: dict.host_id, hops: context.hops } });
  }

  /** Returns the number of pings so far. A comment like this one becomes the method's help. */
  @Exposed({ params: [], returns: 'int' })
  pings(): number {
    return this.#pings;
  }

  /** Adds two numbers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }
}
