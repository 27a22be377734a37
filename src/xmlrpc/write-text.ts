/** Text, member names and doubles as XML-RPC writes them. */

// Everything that must be escaped or may not be sent; a pair of surrogates is neither, so it takes the second look.
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const SUSPICIOUS = /[\u0000-\u0008\u000b-\u001f&<>\ud800-\udfff\ufffe\uffff]/;
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const UNSENDABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/u;
// eslint-disable-next-line no-control-regex -- control characters are what is looked for
const ALL_UNSENDABLE = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|\p{Surrogate}/gu;
const MARKUP = /[&<>\r]/g;
const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '\r': '&#13;' };

/** `text` fit to stand in an element, or undefined if XML has no way to write one of its characters. */
export function escapeText(text: string): string | undefined {
  if (!SUSPICIOUS.test(text)) return text;
  return UNSENDABLE.test(text) ? undefined : escapeLegal(text);
}

/** `text` fit to stand in an element; it holds only characters that XML allows. */
export function escapeLegal(text: string): string {
  return text.replace(MARKUP, (char) => ESCAPES[char] ?? char);
}

/** `text` fit to stand in an element, with U+FFFD for what XML cannot write. */
export function escapeCleaned(text: string): string {
  return escapeLegal(text.replace(ALL_UNSENDABLE, '\ufffd'));
}

/** A finite number as the shortest decimal that reads back equal: always with a point, never with an exponent. */
export function doubleText(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  const mark = text.indexOf('e');
  if (mark === -1) return text.includes('.') ? text : `${text}.0`;
  const sign = text.startsWith('-') ? '-' : '';
  const digits = text.slice(sign.length, mark).replace('.', '');
  const exponent = Number(text.slice(mark + 1));
  // 1.5e+21 -> 1500…0.0, for JavaScript turns to exponents only where the digits are used up; 1.5e-7 -> 0.00000015
  return exponent > 0 ? `${sign}${digits.padEnd(exponent + 1, '0')}.0` : `${sign}0.${'0'.repeat(-exponent - 1)}${digits}`;
}
