/** Which form of a page a reader wants, by the Accept header (RFC 9110, 12.5.1). Pure. */

/** The forms of a page, the one for whoever does not care first, as curl does not. */
export type PageForm = 'text' | 'html' | 'json';

const OFFERED: readonly (readonly [form: PageForm, type: string])[] = [
  ['text', 'text/plain'],
  ['html', 'text/html'],
  ['json', 'application/json'],
];
// A browser names about ten; what stands behind them decides nothing.
const MAX_RANGES = 50;
const WEIGHT = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i;

interface Range {
  readonly type: string;
  readonly weight: number;
  /** 2 for a type, 1 for `text/*`, 0 for all. */
  readonly exactness: number;
  /** Its place in the header. */
  readonly place: number;
}

/** The form of the highest weight; among equals the one that is named more exactly, then earlier. Whoever takes none of them gets text. */
export function wantedForm(accept: string | undefined): PageForm {
  const ranges = (accept ?? '').split(',', MAX_RANGES).map(readRange);
  let wanted: PageForm = 'text';
  let best: Range | undefined;
  for (const [form, type] of OFFERED) {
    const range = rangeFor(type, ranges);
    if (!range || range.weight === 0 || (best && !isBefore(range, best))) continue;
    wanted = form;
    best = range;
  }
  return wanted;
}

function readRange(text: string, place: number): Range {
  const [type = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return {
    type,
    // A weight that is none is a range that nobody can rank.
    weight: weight === undefined ? 1 : Number(WEIGHT.exec(weight)?.[1] ?? 0),
    exactness: type === '*/*' ? 0 : type.endsWith('/*') ? 1 : 2,
    place,
  };
}

/** The most exact range that covers `type`: it alone says the weight. */
function rangeFor(type: string, ranges: readonly Range[]): Range | undefined {
  const covers = new Set([type, `${type.split('/', 1)[0] ?? ''}/*`, '*/*']);
  const covering = ranges.filter((range) => covers.has(range.type));
  return covering.sort((a, b) => b.exactness - a.exactness || b.weight - a.weight)[0];
}

function isBefore(a: Range, b: Range): boolean {
  if (a.weight !== b.weight) return a.weight > b.weight;
  return a.exactness === b.exactness ? a.place < b.place : a.exactness > b.exactness;
}
