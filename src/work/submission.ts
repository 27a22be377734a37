/** Requests to do work: of callers, and of other nodes. */
import type { Submitter } from '../access/access.ts';
import type { Dict } from '../values/values.ts';
import type { Fetch } from './unit.ts';

/** A request to do work. */
export interface Submission {
  readonly type: string;
  /** Default: a new one. A unit of this id is answered as it is, if the same submitter made it. */
  readonly id?: string | undefined;
  /** Undefined: it is uploaded later. */
  readonly payload: Buffer | undefined;
  readonly params: Dict;
  readonly ttlMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
  /** Id of the node that is to run it. Default: this relay. */
  readonly node?: string | undefined;
  /** The id that it has in common with others. Default: none. */
  readonly group?: string | undefined;
}

/** A unit that another node submits. */
export interface Admission extends Omit<Submission, 'node' | 'group' | 'ttlMs'> {
  readonly id: string;
  readonly submitter: Submitter;
  /** ms within which it must have started. */
  readonly ttlMs: number;
  /** The payload and parameters are fetched. Undefined: they are given. */
  readonly fetch?: Fetch | undefined;
}
