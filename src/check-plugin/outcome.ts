/** What a check finds, and how that is told. Pure. */
import { Fault, clean, reasonOf } from '../core/core.ts';

/** Headings of docs/protocol-for-programs.md. */
export type Section =
  'Starting' | 'The first line' | 'What the relay calls' | 'What the program calls' | 'Without a server' | 'Values' | 'On the wire';

/** `note`: it works, and could be better. */
export type Verdict = 'ok' | 'note' | 'failed';

export type Outcome =
  | { readonly verdict: 'ok'; readonly detail: string | undefined }
  | { readonly verdict: 'note' | 'failed'; readonly came: string; readonly advice: string | undefined };

/** One check and what it found. */
export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  /** What was seen of a check that holds, where there is more to say than that. */
  readonly detail?: string | undefined;
  /** These four where it does not. */
  readonly expected?: string | undefined;
  readonly came?: string | undefined;
  /** What to do. */
  readonly advice?: string | undefined;
  /** Where in docs/protocol-for-programs.md it stands. */
  readonly section?: Section | undefined;
}

/** It holds; `detail`: what was seen. */
export function ok(detail?: string): Outcome {
  return { verdict: 'ok', detail };
}

/** It holds well enough for a relay; `advice` wins over that of the check. */
export function note(came: string, advice?: string): Outcome {
  return { verdict: 'note', came, advice };
}

/** It does not hold; `advice` wins over that of the check. */
export function failed(came: string, advice?: string): Outcome {
  return { verdict: 'failed', came, advice };
}

/** An error of a call, in words: a fault with its number. */
export function inWords(error: unknown): string {
  return Fault.is(error) ? `fault ${error.code}: ${clean(error.message)}` : clean(reasonOf(error), 400);
}

const MARKS: Readonly<Record<Verdict, string>> = { ok: 'ok    ', note: 'note  ', failed: 'FAILED' };

/** Lines for people, ready for a terminal. */
export function findingText({ check, verdict, detail, expected, came, advice, section }: Finding): string {
  const first = `${MARKS[verdict]}  ${check}${detail === undefined ? '' : `: ${clean(detail, Infinity)}`}`;
  if (verdict === 'ok') return first;
  const rows = [
    ['expected', expected],
    ['came', came],
    ['do', `${advice ?? ''} (protocol-for-programs.md, "${section ?? ''}")`],
  ];
  return [first, ...rows.map(([name = '', text = '']) => `        ${`${name}:`.padEnd(10)}${clean(text, Infinity)}`)].join('\n');
}
