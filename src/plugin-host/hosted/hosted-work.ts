/** Work that a plugin offers, wherever it runs: the types of work, and one unit while it runs. */
import type { WORK_PAYLOADS, WorkResult } from '../../plugin/internal.ts';
import type { Dict } from '../../values/values.ts';

/** A type of work. */
export interface HostedWork {
  /** `ham.spam:render` */
  readonly type: string;
  /** The doc comment, `''` if there is none. */
  readonly help: string;
  readonly payload: (typeof WORK_PAYLOADS)[number];
  /** Units that may run at once. Undefined: no limit of its own. */
  readonly maxConcurrent: number | undefined;
  /** ms that a unit may run. Undefined: the limit of the operator. */
  readonly timeoutMs: number | undefined;
  /** False: a unit with parameters is refused. */
  readonly takesParams: boolean;
  /** False while its plugin is down, and units wait. */
  readonly isReady: boolean;
  /**
   * Runs one unit. The iteration yields its results, one after another; it ends when the work is complete, and throws what the plugin
   * throws, a RelayError INVALID_PARAMS if the parameters are wrong, or the reason of the signal. Ending the iteration ends the work.
   */
  readonly run: (order: WorkOrder) => AsyncIterable<WorkResult>;
}

/** The payload of a unit: its bytes, if they are few, or a file. */
export type WorkSource = { readonly bytes: Buffer } | { readonly path: string };

/** A unit of work that is to run. */
export interface WorkOrder {
  /** Its id. */
  readonly unit: string;
  readonly params: Dict;
  /** For people: `token ci`. */
  readonly submitter: string;
  readonly payload: WorkSource;
  readonly signal: AbortSignal;
}

/** True for what work may yield: a struct, a text, or bytes. */
export function isWorkResult(value: unknown): value is WorkResult {
  if (typeof value === 'string' || value instanceof Uint8Array) return true;
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}
