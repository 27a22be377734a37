/** The error class for faults that a server answers. */
import { hasMark } from '../core/core.ts';
import type { Value } from '../values/values.ts';

const REMOTE_FAULT = Symbol.for('co2-relay.RemoteFault');

/**
 * A fault that the server answered: its `code`, and its text as `text` and `message`. Both are the server's words; clean them before they
 * are shown. `code` is the number that the server
 * sent, also written as a text; 0 if it sent none, and then `faultCode` is what it sent instead (`'Client'`), null if nothing.
 */
export class RemoteFault extends Error {
  readonly [REMOTE_FAULT] = true;
  override readonly name = 'RemoteFault';

  constructor(
    readonly code: number,
    readonly text: string,
    /** As the server sent it. */
    readonly faultCode: Value = code,
  ) {
    super(text);
  }

  /** True for a RemoteFault of this or of any other loaded copy of the package. */
  static is(value: unknown): value is RemoteFault {
    return hasMark(value, REMOTE_FAULT);
  }
}
