/** The smallest plugin that does everything: it is called, it receives, it sends. Copy it to begin your own. */
import { Exposed, Plugin, Satellite, type Context, type Dict } from 'co2-relay';

/** Answers calls and pings. */
@Satellite()
export class Echo extends Plugin {
  /** Answers the text that it is given. */
  @Exposed({ params: ['string'], returns: 'string' })
  say(text: string): string {
    return text;
  }

  /** Adds two integers. */
  @Exposed({ params: ['int', 'int'], returns: 'int' })
  add(a: number, b: number): number {
    return a + b;
  }

  /** Answers `{data: 'ping'}` with `{data: {pong: <who asked>, hops: ...}}`. The answer is no ping, so two echoes never talk for ever. */
  override async receive(dict: Dict, context: Context): Promise<void> {
    if (dict.data === 'ping') await this.send({ data: { pong: dict.host_id, hops: context.hops } });
  }
}
