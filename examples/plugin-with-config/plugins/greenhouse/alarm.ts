/** Shows a satellite with a validated configuration, an injected helper and its own logger. */
import { Exposed, Inject, LOGGER, Plugin, Satellite, type Logger } from 'co2-relay';
import { z } from 'zod';
import { Average } from './_average.ts';

/** With an invalid configuration the relay does not start; the error names the key. */
const configSchema = z.strictObject({
  /** The name of the alarm in its messages. */
  name: z.string().min(1),
  /** The temperature, in degrees, from which it warns. */
  highCelsius: z.number().min(-50).max(100),
  /** Number of samples in the mean. Default 5. */
  samples: z.int().min(1).max(1000).default(5),
});
type Config = z.infer<typeof configSchema>;

/** Warns the network when a greenhouse gets too hot. */
@Satellite({ config: configSchema })
export class Alarm extends Plugin<Config> {
  #config!: Config;
  #isHot = false;

  constructor(
    private readonly average: Average,
    @Inject(LOGGER) private readonly logger: Logger,
  ) {
    super();
  }

  override setup(config: Config): void {
    this.#config = config;
    this.logger.info(`watches the ${config.name}, warns from ${config.highCelsius} °C on`);
  }

  /** Takes a temperature in degrees Celsius, returns the mean of the last ones, and warns the network when it gets hot. */
  @Exposed({ params: ['double'], returns: 'double' })
  async feed(celsius: number): Promise<number> {
    const { name, highCelsius, samples } = this.#config;
    const mean = this.average.add(celsius, samples);
    const wasHot = this.#isHot;
    this.#isHot = mean >= highCelsius;
    if (this.#isHot && !wasHot) await this.send({ data: { alarm: name, celsius: mean } });
    return mean;
  }
}
