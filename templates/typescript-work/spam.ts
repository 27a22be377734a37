/** ham.spam: describe here what it does. */
import { Plugin, Satellite, Work, type WorkContext } from 'co2-relay';

/** Runs in a process of its own, so that the work may take the processor. */
@Satellite()
export class Spam extends Plugin {
  /** Counts the words of each line of the payload. A comment like this one is shown by co2 work types. */
  @Work({ maxConcurrent: 2, timeoutMs: 600_000 })
  async *count(payload: Buffer, context: WorkContext) {
    let total = 0;
    for (const line of payload.toString().split('\n')) {
      // A unit that is canceled, or takes too long, ends here.
      context.signal.throwIfAborted();
      const words = line.split(/\s+/).filter((word) => word !== '').length;
      total += words;
      // Each yield is one result: a struct, a text or bytes.
      yield { line, words };
    }
    context.logger.info('counted', total, 'words for', context.submitter);
  }
}
