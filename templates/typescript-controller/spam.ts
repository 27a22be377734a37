/** ham.spam: describe here what it does. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Controller, Plugin, Satellite, type Frame } from 'co2-relay';

@Satellite()
export class Spam extends Plugin {
  /** Counts down from {"from": 3}. A comment like this one is shown to people. */
  @Controller({ timeoutMs: 60_000 })
  async *command({ payload }: Frame, signal: AbortSignal) {
    const { from = 3 } = JSON.parse(payload.toString() || '{}') as { from?: unknown };
    // An error that is thrown is the reason of the failure.
    if (typeof from !== 'number' || from > 100) throw new Error('from must be a number up to 100');
    for (let count = from; count > 0; count--) {
      // Each yield is one frame for the caller of this command alone.
      yield { type: 'application/json', payload: JSON.stringify({ count }) };
      // The signal is aborted when the command is canceled, or takes too long.
      await sleep(10, undefined, { signal });
    }
  }
}
