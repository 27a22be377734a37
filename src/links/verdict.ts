/** What a server's answer means for the dicts that were posted. Pure: the link acts on it. */
import type { Value } from '../values/values.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';

/** An HTTP response that is not a readable XML-RPC response. */
export interface UnreadableAnswer {
  readonly kind: 'other';
  readonly status: number;
  /** In words, for the log. */
  readonly reason: string;
  /** From Retry-After; not yet limited. */
  readonly retryAfterMs?: number | undefined;
  /** False if it was truncated, or did not end in time. */
  readonly isWhole: boolean;
}

/** Anything that a server may answer. */
export type ServerAnswer = ParsedResponse | UnreadableAnswer;

export type Verdict =
  /** `unreadable`: the server accepted the dict, but its answer could not be read, for this reason. */
  | { readonly kind: 'taken'; readonly unreadable?: string | undefined }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'too large'; readonly reason: string }
  /** Not now: the server is alive, and the dict waits. */
  | { readonly kind: 'later'; readonly reason: string; readonly retryAfterMs?: number | undefined }
  /** The outcome is unknown: the dict is sent again on a new connection. */
  | { readonly kind: 'failed'; readonly reason: string };

export type BatchVerdict =
  /** One for each dict, in order. `endsBatches`: batches fail as a whole at this server, so single calls are sent from now on. */
  | { readonly kind: 'each'; readonly verdicts: readonly Verdict[]; readonly endsBatches?: boolean }
  /** No dict was accepted, and batches do not work at this server: send single calls. */
  | { readonly kind: 'no batches'; readonly reason: string }
  | Extract<Verdict, { kind: 'too large' | 'later' | 'failed' }>;

/**
 * Faults that mean "not now": too many calls, starting or stopping, too late, a full disk, transport, system. Any other fault is about the
 * call, and would be the same at every attempt.
 */
export const PASSING_FAULTS: ReadonlySet<number> = new Set([429, 503, 504, 522, -32300, -32400]);
// HTTP statuses with the same meaning: request timeout, too early, too many requests, and those of proxies and starting servers.
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 502, 503, 504]);
/** The HTTP statuses that servers answer to a method that they do not have, instead of a fault. */
export const NO_METHOD_STATUSES: ReadonlySet<number> = new Set([400, 404, 405, 500, 501]);
// The method does not exist, or is forbidden.
const NO_METHOD_FAULTS: ReadonlySet<number> = new Set([-32601, 401, 403]);
// The request was too large or unreadable, so none of its calls was made.
const NO_CALL_FAULTS: ReadonlySet<number> = new Set([413, -32600, -32602, -32700, -32701, -32702]);
// A server may ask for a pause of years; this equals the default maximum delay between two attempts.
const MAX_RETRY_AFTER_MS = 60_000;

/** `knowsIds`: the server recognizes a dict that it had before, so that a dict may be sent twice. */
export function verdictOf(answer: ServerAnswer, knowsIds: boolean): Verdict {
  if (answer.kind === 'value') return { kind: 'taken' };
  if (answer.kind === 'fault') return verdictOfFault(answer);
  const { status, reason, isWhole } = answer;
  // The status says that it worked. A truncated body may have been a fault, which matters only if the dict may be sent again.
  if (isSuccess(status)) return isWhole || !knowsIds ? { kind: 'taken', unreadable: reason } : { kind: 'failed', reason };
  if (status === 413) return { kind: 'too large', reason };
  if (PASSING_STATUSES.has(status)) return laterOf(answer);
  // The proxy or the credentials of a peer may be corrected; a satellite had the dict and must not get it again and again.
  return knowsIds ? { kind: 'failed', reason } : { kind: 'refused', reason };
}

/** What the answer to a ping says of the server: like the answer to a dict, but a server need not have the method. */
export function pingVerdictOf(answer: ServerAnswer): Verdict {
  return answer.kind === 'other' && NO_METHOD_STATUSES.has(answer.status) ? { kind: 'taken' } : verdictOf(answer, true);
}

/** What the answer to `system.multicall` means for `count` dicts. */
export function batchVerdictOf(answer: ServerAnswer, count: number, knowsIds: boolean): BatchVerdict {
  if (answer.kind === 'value') {
    const { value } = answer;
    if (!Array.isArray(value) || value.length !== count) return unreadableBatch('the answer is not a list of the results', count, knowsIds);
    return { kind: 'each', verdicts: value.map((one: Value) => verdictOfResult(one, answer)) };
  }
  if (answer.kind === 'fault') {
    const verdict = verdictOfFault(answer);
    if (verdict.kind === 'later') return verdict;
    const { reason } = verdict;
    if (NO_METHOD_FAULTS.has(answer.code)) return { kind: 'no batches', reason };
    // Any other fault may be caused by one dict; a smaller batch will show.
    return knowsIds || NO_CALL_FAULTS.has(answer.code) ? { kind: 'too large', reason } : refusedBatch(reason, count);
  }
  const { status, reason, isWhole } = answer;
  if (isSuccess(status)) return isWhole || !knowsIds ? unreadableBatch(reason, count, knowsIds) : { kind: 'failed', reason };
  if (status === 413) return { kind: 'too large', reason };
  if (PASSING_STATUSES.has(status)) return laterOf(answer);
  return knowsIds || status < 500 ? { kind: 'no batches', reason } : refusedBatch(reason, count);
}

/** True if the server accepts batches: it answers an empty list of calls with an empty list of results. */
export function offersBatches(answer: ServerAnswer): boolean {
  return answer.kind === 'value' && Array.isArray(answer.value) && answer.value.length === 0;
}

/** True if the answer shows that the server is alive. A proxy answers 502 to 504 on behalf of one that is not. */
export function isSignOfLife(answer: ServerAnswer): boolean {
  return answer.kind !== 'other' || answer.status < 500;
}

function verdictOfFault({ code, text }: { readonly code: number; readonly text: string }): Extract<Verdict, { kind: 'refused' | 'later' }> {
  return { kind: PASSING_FAULTS.has(code) ? 'later' : 'refused', reason: `fault ${code}: ${text}` };
}

function verdictOfResult(result: Value, answer: ParsedResponse & { readonly kind: 'value' }): Verdict {
  if (Array.isArray(result) && result.length === 1) return { kind: 'taken' };
  const fault = answer.faultIn(result);
  return fault ? verdictOfFault(fault) : { kind: 'taken', unreadable: 'its result is neither a list of one value nor a fault' };
}

/** The server said before that it accepts batches, so it accepted this one; a peer, which knows ids, may get the dicts again to be sure. */
function unreadableBatch(reason: string, count: number, knowsIds: boolean): BatchVerdict {
  if (knowsIds) return { kind: 'no batches', reason };
  return { kind: 'each', verdicts: Array.from({ length: count }, () => ({ kind: 'taken', unreadable: reason })) };
}

/** The server may have run the calls before it failed, for instance while writing a result: a satellite must not get the dicts again. */
function refusedBatch(reason: string, count: number): BatchVerdict {
  return { kind: 'each', verdicts: Array.from({ length: count }, () => ({ kind: 'refused', reason })), endsBatches: true };
}

function laterOf({ reason, retryAfterMs }: UnreadableAnswer): Extract<Verdict, { kind: 'later' }> {
  return { kind: 'later', reason, retryAfterMs: retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, MAX_RETRY_AFTER_MS) };
}

/** True for a status that says that a request was accepted. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}
