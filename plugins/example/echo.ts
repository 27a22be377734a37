/** A minimal plugin with every capability: it can be called, it receives, and it sends. Copy it to start your own. */
import { Exposed, Plugin, Satellite, type Context, type Dict } from 'co2-relay';

/** Answers calls and pings. */
@Satellite()
export class Echo extends Plugin {
  /** Returns the text that it is given. */
  @Exposed({ params: ['string'], returns: 'string' })
  say(text: string): string {
    return text;
  }

  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }

  /**
   * Answers `{data: 'ping'}` with `{data: {pong: <sender>, hops: ...}}`. The answer is not a ping, so two echoes do not answer each other
   * forever.
   */
  override async receive(dict: Dict, context: Context): Promise<void> {
    if (dict.data === 'ping') await this.send({ data: { pong: dict.host_id, hops: context.hops } });
  }
}
