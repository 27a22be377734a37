/** Work that waits: to try units of work, their states and their cancelling. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Plugin, Satellite, Work, type WorkContext } from 'co2-relay';
import { z } from 'zod';

const params = z.strictObject({
  /** Up to a day; parts of a second are possible. */
  seconds: z.number().min(0).max(86_400),
});

/** Takes no processor, so that it needs no process of its own. */
@Satellite({ isolation: 'inline' })
export class Sleep extends Plugin {
  /** Waits for `seconds`, and yields {seconds}. */
  @Work({ params })
  async *execute(_payload: Buffer, { params: { seconds }, signal }: WorkContext<z.infer<typeof params>>) {
    await sleep(seconds * 1000, undefined, { signal });
    yield { seconds };
  }
}
