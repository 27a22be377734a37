/** What an answer says of the dicts that were posted. Pure: the link acts on it. */
import type { Value } from '../values/values.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';

/** An answer over HTTP that is no readable XML-RPC response. */
export interface OtherAnswer {
  readonly kind: 'other';
  readonly status: number;
  /** In words, for the log. */
  readonly reason: string;
  /** What the server asks for by Retry-After; not yet bounded. */
  readonly retryAfterMs?: number | undefined;
  /** False if it broke off, or did not end in time. */
  readonly isWhole: boolean;
}

/** Whatever a server may answer. */
export type Answer = ParsedResponse | OtherAnswer;

export type Verdict =
  /** `unreadable`: the server took it, but what it said about that is not known. */
  | { readonly kind: 'taken'; readonly unreadable?: string | undefined }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'too large'; readonly reason: string }
  /** Not now: the server lives, and the dict waits. */
  | { readonly kind: 'later'; readonly reason: string; readonly retryAfterMs?: number | undefined }
  /** Nothing is known: the dict is sent again on a new connection. */
  | { readonly kind: 'failed'; readonly reason: string };

export type BatchVerdict =
  /** One for each dict, in order. `endsBatches`: batches fail as a whole here, so single calls are sent from now on. */
  | { readonly kind: 'each'; readonly verdicts: readonly Verdict[]; readonly endsBatches?: boolean }
  /** No dict was taken, and batches do not work here: send single calls. */
  | { readonly kind: 'no batches'; readonly reason: string }
  | Extract<Verdict, { kind: 'too large' | 'later' | 'failed' }>;

// Faults by which a server says "not now": too many calls, starting or stopping, transport, system. Any other fault is about the dict and stays the same at every try.
const PASSING_FAULTS: ReadonlySet<number> = new Set([429, 503, 504, -32300, -32400]);
// The same as HTTP statuses: a request that took too long, too early, too many requests, and what proxies and servers that start say.
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
// No such method, and no right to it.
const NO_METHOD_FAULTS: ReadonlySet<number> = new Set([-32601, 401, 403]);
// The request was too large, or could not be read: none of its calls was made.
const NO_CALL_FAULTS: ReadonlySet<number> = new Set([413, -32600, -32602, -32700, -32701, -32702]);
// A server may ask for a pause of years; this is as long as the longest one between two tries by default.
const MAX_RETRY_AFTER_MS = 60_000;

/** `knowsIds`: the server recognizes a dict that it had before, so that one may be sent twice. */
export function verdictOf(answer: Answer, knowsIds: boolean): Verdict {
  if (answer.kind === 'value') return { kind: 'taken' };
  if (answer.kind === 'fault') return verdictOfFault(answer);
  const { status, reason, isWhole } = answer;
  // The head says that it worked. What broke off after it may have been a fault, which matters only to those who may get it again.
  if (isSuccess(status)) return isWhole || !knowsIds ? { kind: 'taken', unreadable: reason } : { kind: 'failed', reason };
  if (status === 413) return { kind: 'too large', reason };
  if (PASSING_STATUSES.has(status)) return laterOf(answer);
  // A peer's proxy or credentials may be put right; a satellite had the dict, and must not get it again and again.
  return knowsIds ? { kind: 'failed', reason } : { kind: 'refused', reason };
}

/** What the answer to `system.multicall` says of `count` dicts. */
export function batchVerdictOf(answer: Answer, count: number, knowsIds: boolean): BatchVerdict {
  if (answer.kind === 'value') {
    const { value } = answer;
    if (!Array.isArray(value) || value.length !== count) return unreadableBatch('it answered no list of results', count, knowsIds);
    return { kind: 'each', verdicts: value.map((one: Value) => verdictOfResult(one, answer)) };
  }
  if (answer.kind === 'fault') {
    const verdict = verdictOfFault(answer);
    if (verdict.kind === 'later') return verdict;
    const { reason } = verdict;
    if (NO_METHOD_FAULTS.has(answer.code)) return { kind: 'no batches', reason };
    // Any other fault may be the fault of one dict, which a smaller batch tells.
    return knowsIds || NO_CALL_FAULTS.has(answer.code) ? { kind: 'too large', reason } : refusedBatch(reason, count);
  }
  const { status, reason, isWhole } = answer;
  if (isSuccess(status)) return isWhole || !knowsIds ? unreadableBatch(reason, count, knowsIds) : { kind: 'failed', reason };
  if (status === 413) return { kind: 'too large', reason };
  if (PASSING_STATUSES.has(status)) return laterOf(answer);
  return knowsIds || status < 500 ? { kind: 'no batches', reason } : refusedBatch(reason, count);
}

/** True if the server offers batches: it answers the empty list of calls with the empty list of results. */
export function offersBatches(answer: Answer): boolean {
  return answer.kind === 'value' && Array.isArray(answer.value) && answer.value.length === 0;
}

/** True if an answer shows that the server lives. A proxy answers 502 to 504 in the place of one that does not. */
export function isSignOfLife(answer: Answer): boolean {
  return answer.kind !== 'other' || answer.status < 500;
}

function verdictOfFault({ code, text }: { readonly code: number; readonly text: string }): Extract<Verdict, { kind: 'refused' | 'later' }> {
  return { kind: PASSING_FAULTS.has(code) ? 'later' : 'refused', reason: `fault ${code}: ${text}` };
}

function verdictOfResult(result: Value, answer: ParsedResponse & { readonly kind: 'value' }): Verdict {
  if (Array.isArray(result) && result.length === 1) return { kind: 'taken' };
  const fault = answer.faultIn(result);
  return fault
    ? verdictOfFault(fault)
    : { kind: 'taken', unreadable: 'its result in the answer is neither a list of one value nor a fault' };
}

/** It said before that it offers batches, so it took this one; a peer, which knows ids, may get the dicts again to be sure. */
function unreadableBatch(reason: string, count: number, knowsIds: boolean): BatchVerdict {
  if (knowsIds) return { kind: 'no batches', reason };
  return { kind: 'each', verdicts: Array.from({ length: count }, () => ({ kind: 'taken', unreadable: reason })) };
}

/** It may have run the calls before it failed, as a server does that cannot write one of the results: a satellite must not get their dicts again. */
function refusedBatch(reason: string, count: number): BatchVerdict {
  return { kind: 'each', verdicts: Array.from({ length: count }, () => ({ kind: 'refused', reason })), endsBatches: true };
}

function laterOf({ reason, retryAfterMs }: OtherAnswer): Extract<Verdict, { kind: 'later' }> {
  return { kind: 'later', reason, retryAfterMs: retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) };
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
