/** The outcome of a check, and the text that reports it. */
import { Fault, clean, reasonOf } from '../core/core.ts';

/** A heading of docs/protocol-for-programs.md. */
export type Section =
  | 'Starting'
  | 'The first line'
  | 'What the relay calls'
  | 'Work'
  | 'What the program calls'
  | 'Without a server'
  | 'Values'
  | 'On the wire';

/** The result of a check. `note`: it works, but could be better. */
export type Verdict = 'ok' | 'note' | 'failed';

/** What a check returns. */
export type Outcome =
  | { readonly verdict: 'ok'; readonly detail: string | undefined }
  | { readonly verdict: 'note' | 'failed'; readonly found: string; readonly advice: string | undefined };

/** A check that was made, with its outcome. */
export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  /** Details of a check that passed. Default none. */
  readonly detail?: string | undefined;
  /** The expected behaviour; like the next three, only present if the check did not pass. */
  readonly expected?: string | undefined;
  /** The observed behaviour. */
  readonly found?: string | undefined;
  /** What to do. */
  readonly advice?: string | undefined;
  /** The section of docs/protocol-for-programs.md with the rule. */
  readonly section?: Section | undefined;
}

/** The check passed; `detail` says what was observed. */
export function ok(detail?: string): Outcome {
  return { verdict: 'ok', detail };
}

/** The behaviour is good enough for a relay, but could be better; `advice` takes precedence over that of the check. */
export function note(found: string, advice?: string): Outcome {
  return { verdict: 'note', found, advice };
}

/** The check failed; `advice` takes precedence over that of the check. */
export function failed(found: string, advice?: string): Outcome {
  return { verdict: 'failed', found, advice };
}

/** Describes an error of a call; a fault with its number. */
export function describeError(error: unknown): string {
  return Fault.is(error) ? `fault ${error.code}: ${clean(error.message)}` : clean(reasonOf(error), 400);
}

const MARKS: Readonly<Record<Verdict, string>> = { ok: 'ok    ', note: 'note  ', failed: 'FAILED' };

/** The finding as lines for a terminal. */
export function findingText({ check, verdict, detail, expected, found, advice, section }: Finding): string {
  const first = `${MARKS[verdict]}  ${check}${detail === undefined ? '' : `: ${clean(detail, Infinity)}`}`;
  if (verdict === 'ok') return first;
  const rows = [
    ['expected', expected],
    ['found', found],
    ['do', `${advice ?? ''} (protocol-for-programs.md, "${section ?? ''}")`],
  ];
  return [first, ...rows.map(([name = '', text = '']) => `        ${`${name}:`.padEnd(10)}${clean(text, Infinity)}`)].join('\n');
}
