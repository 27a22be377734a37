/** Untrusted text made fit for one line of a log, a fault or a page. */

// DEL, C1, line and paragraph separators, and the marks that reorder text on a terminal: those that JSON.stringify leaves as they are.
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
// The same, and C0.
const UNSAFE = new RegExp(`[\\u0000-\\u001f]|${UNSAFE_IN_JSON.source}`, 'g');
// The same, and halves of surrogate pairs, which a file cannot hold.
const UNSAFE_IN_CODE = new RegExp(`${UNSAFE.source}|\\p{Surrogate}`, 'gu');

/** `text` without control and direction characters, cut to `max` characters (200 unless told). */
export function clean(text: string, max = 200): string {
  // A pair of surrogates is not cut in two: half of one is no character.
  const head = text.length > max ? `${text.slice(0, max).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return head.replace(UNSAFE, '\ufffd');
}

/**
 * A literal in single quotes that JavaScript, TypeScript and Python all read as `text`, on one line that no terminal or editor shows turned
 * round.
 */
export function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&').replace(UNSAFE_IN_CODE, escaped)}'`;
}

/** JSON, as JSON.stringify writes it, in which no character steers a terminal or reorders its text; it means the same. */
export function safeJson(json: string): string {
  // They stand inside of strings alone.
  return json.replace(UNSAFE_IN_JSON, escaped);
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
