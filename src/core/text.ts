/** Text for people: one line of a log, a fault or a page from untrusted text, names of servers, and times. */

// DEL, C1, line and paragraph separators, and marks that reorder text on a terminal: characters that JSON.stringify does not escape.
const UNSAFE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
// The same, C0, and what neither XML nor files can contain: lone surrogates, and two code points that are no characters.
const UNSAFE = new RegExp(`[\\u0000-\\u001f\\ufffe\\uffff]|${UNSAFE_IN_JSON.source}|\\p{Surrogate}`, 'gu');

/** `text` without control and direction characters, and those that XML cannot represent, cut to `max` UTF-16 units (default 200). */
export function clean(text: string, max = 200): string {
  // Does not cut a surrogate pair.
  const head = text.length > max ? `${text.slice(0, max).replace(/[\ud800-\udbff]$/, '')}…` : text;
  return head.replace(UNSAFE, '\ufffd');
}

/** A literal in single quotes that JavaScript, TypeScript and Python read as `text`, on one line and without characters that reorder it. */
export function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&').replace(UNSAFE, escaped)}'`;
}

/** Escapes characters in the output of JSON.stringify that control a terminal or reorder its text. */
export function safeJson(json: string): string {
  // Such characters only occur in strings.
  return json.replace(UNSAFE_IN_JSON, escaped);
}

/** The end of the piece of `text` that starts at `from` and has at most `size` UTF-16 units; never between two surrogates. */
export function pieceEnd(text: string, from: number, size: number): number {
  const end = from + size;
  if (end >= text.length) return text.length;
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last <= 0xdbff ? end - 1 : end;
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The parameters of a signature with their names, for people: `a: int, b: int`, or `int, int` without names. */
export function typedParams(types: readonly string[], names: readonly string[]): string {
  return types.map((type, index) => (names[index] ? `${names[index]}: ${type}` : type)).join(', ');
}

/** A time in its two largest units: `3 d 4 h`, `2 h 5 min`, `12 min`, `5 s`. */
export function durationText(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [days, hours, minutes] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min` : `${seconds} s`;
}

/** The name of a server in lists, stored decisions and logs: its URL without credentials, and without a path if that is `/`. */
export function serverName({ protocol, host, pathname }: URL): string {
  return `${protocol}//${host}${pathname === '/' ? '' : pathname}`;
}
