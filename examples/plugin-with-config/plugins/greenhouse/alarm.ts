/** A satellite with a configuration that is checked, a helper that is injected, and a logger of its own. */
import { Exposed, Inject, LOGGER, Plugin, Satellite, type Logger } from 'co2-relay';
import { z } from 'zod';
import { Average } from './_average.ts';

/** The relay does not start with a configuration that does not fit; the error names the key. */
const configSchema = z.strictObject({
  /** What the alarm calls itself. */
  name: z.string().min(1),
  /** Degrees from which on it warns. */
  highCelsius: z.number().min(-50).max(100),
  /** Samples that the mean is taken of. Default 5. */
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

  /** Takes a temperature in degrees Celsius; answers the mean of the last ones, and tells the network when it gets hot. */
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
