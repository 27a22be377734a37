/** Records random numbers: to try recordings, and how subscribers keep up with them. */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Datasource, Plugin, Satellite } from 'co2-relay';
import { z } from 'zod';

const config = z.strictObject({
  /** ms between two frames. */
  intervalMs: z.int().min(1).max(86_400_000).default(1_000),
  /** The smallest number. */
  min: z.int().default(0),
  /** The largest number. */
  max: z.int().default(99),
});

@Satellite({ config: config.refine(({ min, max }) => min <= max && max - min < 2 ** 48 - 1, 'max must not be less than min') })
export class Random extends Plugin {
  private settings = config.parse({});

  override setup(settings: z.infer<typeof config>) {
    this.settings = settings;
  }

  /** Yields a random whole number from min to max, as text. */
  @Datasource()
  async *record(signal: AbortSignal) {
    const { intervalMs, min, max } = this.settings;
    for (;;) {
      yield { type: 'text/plain', payload: String(randomInt(min, max + 1)) };
      await sleep(intervalMs, undefined, { signal });
    }
  }
}
