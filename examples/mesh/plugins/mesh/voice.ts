/** Prints every dict that arrives, and sends what it is asked to. */
import { Exposed, Plugin, Satellite, type Context, type Dict } from 'co2-relay';

interface Config {
  /** The name of its relay. */
  readonly name?: string;
}

@Satellite({ durable: true })
export class Voice extends Plugin<Config> {
  #name = 'somebody';

  setup(config: Config): void {
    this.#name = config.name ?? this.#name;
  }

  receive({ data }: Dict, { hops, redelivered }: Context): void {
    console.log(
      `  ${this.#name} hears ${JSON.stringify(data)} after ${hops} ${hops === 1 ? 'hop' : 'hops'}${redelivered ? ', perhaps again' : ''}`,
    );
  }

  /** Sends a text to everybody. Returns once it is stored. */
  @Exposed({ params: ['string'], returns: 'string' })
  say(text: string): Promise<string> {
    return this.send({ data: text });
  }

  /** Sends a text to the relay with this name. Returns once it is stored; a relay that is down gets it later. */
  @Exposed({ params: ['string', 'string'], returns: 'string' })
  tell(name: string, text: string): Promise<string> {
    return this.send({ data: text }, { to: name });
  }
}
