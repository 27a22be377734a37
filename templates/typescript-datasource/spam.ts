/** ham.spam: describe here what it does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Datasource, Plugin, Satellite } from 'co2-relay';

@Satellite()
export class Spam extends Plugin {
  /** Counts, once a second. A comment like this one is shown by co2 record list. */
  @Datasource({ timeoutMs: 5_000, maxTimeouts: 3 })
  async *record(signal: AbortSignal) {
    for (let count = 0; ; count++) {
      // Each yield is one frame for all subscribers. `type` is the media type of the payload, which is a text or bytes.
      yield { type: 'application/json', payload: JSON.stringify({ count }) };
      // The signal is aborted when the recording is stopped.
      await sleep(1_000, undefined, { signal });
    }
  }
}
