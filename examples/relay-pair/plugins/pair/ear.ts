/** Prints every dict that arrives, so that you can see it travel from one relay to the other. */
import { Plugin, Satellite, type Context, type Dict } from 'co2-relay';

interface Config {
  readonly name?: string;
}

@Satellite()
export class Ear extends Plugin<Config> {
  #name = 'ear';

  setup(config: Config): void {
    this.#name = config.name ?? this.#name;
  }

  receive(dict: Dict, context: Context): void {
    console.log(`${this.#name} hears ${JSON.stringify(dict.data)} of ${JSON.stringify(dict.host_id)} after ${context.hops} hops`);
  }
}
