/** Values on the command line: arguments become parameters, results become text or JSON. The parser limits their depth to 64. */
import { clean, RelayError, safeJson } from '../core/core.ts';
import { Double, Int64, isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';

const BIG = /"\\u0000(-?\d+)"/g;

/**
 * Exact JSON: dates in ISO 8601, bytes as `{"base64": "..."}`, long integers with all digits; on one line if `indent` is 0.
 * Control characters are escaped, so that it is safe to print.
 */
export function toJson(value: unknown, indent = 2): string {
  const text = JSON.stringify(
    value,
    function (this: Record<string, unknown>, key, after: unknown) {
      const before = this[key];
      if (Buffer.isBuffer(before)) return { base64: before.toString('base64') };
      return typeof before === 'bigint' ? `\u0000${before}` : after;
    },
    indent,
  );
  return safeJson(text.replace(BIG, '$1'));
}

/** Text for people: plain strings, aligned members, indented nested values. */
export function toText(value: Value): string {
  if (Array.isArray(value)) return listText(value as readonly Value[]);
  return isDict(value) ? structText(value) : scalarText(value);
}

/** A table with a row for each record; other values as {@link toText}. */
export function toTable(value: Value, columns: readonly string[]): string {
  if (!Array.isArray(value) || value.length === 0 || !value.every(isDict)) return toText(value);
  const records = value as readonly Dict[];
  const shownColumns = columns.filter((name) => records.some((record) => record[name] !== undefined));
  if (shownColumns.length === 0) return toText(value);
  const rows = [shownColumns, ...records.map((record) => shownColumns.map((name) => cell(record[name])))];
  const widths = shownColumns.map((_name, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function listText(list: readonly Value[]): string {
  if (list.length === 0) return '(none)';
  // An empty line separates records.
  return list.map(toText).join(list.some(isDict) ? '\n\n' : '\n');
}

function structText(dict: Dict): string {
  const members = Object.entries(dict);
  if (members.length === 0) return '(empty)';
  const names = members.map(([name]) => oneLine(name));
  const width = Math.max(...names.map((name) => name.length));
  return members.map(([, value], index) => memberText(names[index] ?? '', value, width)).join('\n');
}

function memberText(name: string, value: Value, width: number): string {
  const text = toText(value);
  const isNested = typeof value === 'object' && value !== null && text.includes('\n');
  return isNested ? `${name}\n${text.replace(/^(?=.)/gm, '  ')}` : `${name.padEnd(width)}  ${text}`;
}

function scalarText(value: Value): string {
  if (typeof value === 'string') return value.split('\n').map(oneLine).join('\n');
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return value.toString('base64');
  return typeof value === 'object' ? 'null' : String(value);
}

function cell(value: Value | undefined): string {
  // Mean times have sixteen digits.
  if (typeof value === 'number') return String(Number(value.toFixed(3)));
  if (value === undefined || value === '') return '-';
  return oneLine(Array.isArray(value) ? value.map(scalarText).join(':') : toText(value));
}

/** Removes control characters: an answer must not control the terminal. */
function oneLine(text: string): string {
  return clean(text, Infinity);
}

const PAIR = /^([A-Za-z_][\w.-]*)=(.*)$/s;
// A string, which is skipped, or a number in a JSON text.
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
// No JSON that a person types has a member with this name.
const NUMBER_MARK = '\u0000number';

/**
 * One parameter for each argument; all key=value pairs form one struct at the position of the first. Throws a RelayError CONFIG_INVALID.
 */
export function paramsOf(words: readonly string[]): Sendable[] {
  const params: Sendable[] = [];
  const struct = new Map<string, Sendable>();
  for (const word of words) {
    const [, key, value = ''] = PAIR.exec(word) ?? [];
    if (key === undefined) {
      params.push(valueOf(word));
      continue;
    }
    if (struct.has(key)) throw new RelayError('CONFIG_INVALID', `duplicate member ${key}`);
    if (struct.size === 0) params.push(struct);
    struct.set(key, valueOf(value));
  }
  return params;
}

/** The dict of `co2 notify`: key=value pairs or one JSON object, with the member `data`. Throws a RelayError CONFIG_INVALID. */
export function dictOfWords(words: readonly string[]): Sendable {
  const [dict, ...more] = paramsOf(words);
  const members = dict instanceof Map ? [...dict.keys()] : isObject(dict) ? Object.keys(dict) : undefined;
  if (dict === undefined || members === undefined || more.length > 0)
    throw new RelayError('CONFIG_INVALID', 'notify takes one dict: key=value pairs or one JSON object');
  if (!members.includes('data')) throw new RelayError('CONFIG_INVALID', 'the dict requires the member data: co2 notify data=hello');
  return dict;
}

/** The value of an argument: parsed if it is JSON, else a string. */
export function valueOf(word: string): Sendable {
  try {
    JSON.parse(word);
  } catch {
    return word;
  }
  // JSON has one type of number, XML-RPC three: int, i8 and double; 1.0 is a double.
  const marked = word.replace(STRING_OR_NUMBER, (token) => (token.startsWith('"') ? token : `{"\\u0000number":"${token}"}`));
  return JSON.parse(marked, (_key, value: unknown) => {
    if (!isObject(value)) return value;
    const token = value[NUMBER_MARK];
    return typeof token === 'string' ? numberOf(token) : new Map(Object.entries(value));
  }) as Sendable;
}

function numberOf(token: string): Sendable {
  if (/[.eE]/.test(token)) {
    const double = Number(token);
    if (!Number.isFinite(double)) throw new RelayError('CONFIG_INVALID', `${clean(token, 40)} is too large for a double`);
    return new Double(double);
  }
  const whole = BigInt(token);
  if (whole === BigInt.asIntN(32, whole)) return Number(whole);
  if (whole === BigInt.asIntN(64, whole)) return new Int64(whole);
  throw new RelayError(
    'CONFIG_INVALID',
    `${clean(token, 40)} does not fit 64 bits, the largest integer type; write ${clean(token, 20)}.0 for a double`,
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Map) && !Double.is(value);
}
