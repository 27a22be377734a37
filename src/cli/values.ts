/** Values on the command line: arguments become parameters, results become text or JSON. The parser limits their depth to 64. */
import { readFileSync } from 'node:fs';
import { clean, reasonOf, RelayError, safeJson } from '../core/core.ts';
import { readJson, writeJson } from '../json/json.ts';
import { isDict, isoText } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';

/**
 * Writes JSON in the format of the relay's JSON endpoints: `{"$base64": "..."}`, `{"$date": "..."}` and `{"$i8": "..."}` for types that
 * JSON lacks; on one line if `indent` is 0. Undefined members of the object itself are omitted. Control characters are escaped, so that
 * the text is safe to print.
 */
export function toJson(value: unknown, indent = 2): string {
  const text = writeJson(isDict(value) ? withoutUndefined(value) : value, 'the result');
  return safeJson(indent === 0 ? text : indented(text, indent));
}

/**
 * How a command or a unit of work ended that did not succeed, as one line of stderr: `co2: unit a failed: REASON`, or as JSON with the
 * state as `code`, in the form of all errors of `co2 --json`.
 */
export function failureText(what: string, state: string, reason: string, { json }: { readonly json?: boolean }): string {
  const message = `${what} ${state}${reason === '' ? '' : `: ${clean(reason, 500)}`}`;
  return json === true ? toJson({ error: { kind: 'failed', code: state.toUpperCase(), message } }, 0) : `co2: ${message}`;
}

/** The members that are not undefined. */
export function withoutUndefined(members: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined));
}

const JSON_TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^{}[\],:"]+/g;

/** Spreads compact JSON over lines. Re-parsing it would round long integers and drop the point of 1.0. */
function indented(text: string, indent: number): string {
  let out = '';
  let depth = 0;
  let before = '';
  const newLine = (): string => `\n${' '.repeat(depth * indent)}`;
  for (const [token] of text.matchAll(JSON_TOKEN)) {
    const isEnd = token === '}' || token === ']';
    if (isEnd) depth--;
    if (before === '{' || before === '[') out += isEnd ? '' : newLine();
    else if (isEnd || before === ',') out += newLine();
    out += token === ':' ? ': ' : token;
    if (token === '{' || token === '[') depth++;
    before = token;
  }
  return out;
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
  return table([shownColumns, ...records.map((record) => shownColumns.map((name) => cell(record[name])))]);
}

const GAP = '  ';

/** Rows of as many cells each, in aligned columns. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_cell, column) => rows.reduce((most, row) => Math.max(most, row[column]?.length ?? 0), 0));
  return rows
    .map((row) =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join(GAP)
        .trimEnd(),
    )
    .join('\n');
}

/** The elements on lines. Those of a list that contains lists are JSON, or [[1, 2]] would look like [1, 2]. */
function listText(list: readonly Value[]): string {
  if (list.length === 0) return '(none)';
  if (list.some((one) => Array.isArray(one))) return list.map((one) => toJson(one, 0)).join('\n');
  if (list.length > 1 && list.every(isFlat)) return recordsText(list);
  // An empty line separates records.
  return list.map(toText).join(list.some(isDict) ? '\n\n' : '\n');
}

/** A struct whose members are shorter than a line and contain no others. */
function isFlat(value: Value): value is Dict {
  return isDict(value) && Object.keys(value).length > 0 && Object.values(value).every(isShort);
}

function isShort(value: Value): boolean {
  if (typeof value === 'string') return value.length <= MAX_CELL && !value.includes('\n');
  return Buffer.isBuffer(value) ? value.length <= MAX_CELL / 2 : !Array.isArray(value) && !isDict(value);
}

/** Records as a table with a column for each member if that fits, otherwise with an empty line between them. */
function recordsText(records: readonly Dict[]): string {
  const names = [...new Set(records.flatMap((record) => Object.keys(record)))];
  const rows = records.map((record) => names.map((name) => (record[name] === undefined ? '-' : scalarText(record[name]))));
  const text = table([names.map(oneLine), ...rows]);
  return text.split('\n').some(({ length }) => length > MAX_TABLE) ? records.map(toText).join('\n\n') : text;
}

// A cell and a table that people can read in a terminal.
const MAX_CELL = 60;
const MAX_TABLE = 120;

function structText(dict: Dict): string {
  const members = Object.entries(dict);
  if (members.length === 0) return '(empty)';
  const names = members.map(([name]) => oneLine(name));
  const width = Math.max(...names.map((name) => name.length));
  return members.map(([, value], index) => memberText(names[index] ?? '', value, width)).join('\n');
}

function memberText(name: string, value: Value, width: number): string {
  const text = toText(value);
  const isNested = Array.isArray(value) ? value.length > 0 : isDict(value) && Object.keys(value).length > 0;
  return isNested ? `${name}\n${text.replace(/^(?=.)/gm, '  ')}` : `${name.padEnd(width)}  ${text}`;
}

function scalarText(value: Value): string {
  if (typeof value === 'string') return value.split('\n').map(oneLine).join('\n');
  if (value instanceof Date) return isoText(value.getTime()) ?? '';
  if (Buffer.isBuffer(value)) return value.toString('base64');
  return typeof value === 'object' ? 'null' : String(value);
}

function cell(value: Value | undefined): string {
  // Round long fractions, such as mean times with sixteen digits.
  if (typeof value === 'number') return String(Number(value.toFixed(3)));
  if (value === undefined || value === '') return '-';
  return oneLine(Array.isArray(value) ? value.map(scalarText).join(':') : toText(value));
}

/** Removes control characters, since a response must not control the terminal. */
function oneLine(text: string): string {
  return clean(text, Infinity);
}

/** A struct of an answer; an empty one if it is something else, as an older relay may answer. */
export function structOf(value: Value | undefined): Dict {
  return isDict(value) ? value : {};
}

/** The structs in a list of an answer; none if it is something else. */
export function structsOf(value: Value | undefined): readonly Dict[] {
  return Array.isArray(value) ? value.filter((one: Value): one is Dict => isDict(one)) : [];
}

/** A text or number of an answer as one line that is safe to print; '' if it is something else. */
export function textOf(value: Value | undefined): string {
  return typeof value === 'string' ? clean(value, 300) : typeof value === 'number' ? String(value) : '';
}

const PAIR = /^([A-Za-z_][\w-]*(?:\.[\w-]+)*)=(.*)$/s;
// Protects the memory of this process; relays accept less.
const MAX_INPUT_BYTES = 64 * 1024 * 1024;

/** The inputs that arguments may refer to with `-` and `@file`. */
export interface ArgumentSources {
  /** Reads the whole standard input. */
  readonly stdin: () => Buffer;
  readonly file: (path: string) => Buffer;
}

const PROCESS_SOURCES: ArgumentSources = { stdin: () => readFileSync(0), file: (path) => readFileSync(path) };

/**
 * One parameter for each argument; all key=value pairs form one struct at the position of the first, in which `a.b=1` sets the member b of
 * the struct a. Throws a RelayError CONFIG_INVALID.
 */
export function paramsOf(words: readonly string[], sources = PROCESS_SOURCES): Sendable[] {
  if (words.filter((word) => word === '-' || PAIR.exec(word)?.[2] === '-').length > 1)
    throw new RelayError('CONFIG_INVALID', 'standard input (-) can be only one of the arguments');
  const params: Sendable[] = [];
  let struct: Struct | undefined;
  for (const word of words) {
    const [, key, value = ''] = PAIR.exec(word) ?? [];
    if (key === undefined) {
      params.push(argument(word, sources));
      continue;
    }
    if (!struct) params.push((struct = new Map()));
    setMember(struct, key, argument(value, sources));
  }
  return params;
}

type Struct = Map<string, Sendable>;

function setMember(struct: Struct, key: string, value: Sendable): void {
  const path = key.split('.');
  const last = path.pop() ?? '';
  let level = struct;
  for (const part of path) {
    const inner = level.get(part) ?? new Map<string, Sendable>();
    // A struct that was written as JSON is complete.
    if (!(inner instanceof Map)) throw new RelayError('CONFIG_INVALID', `duplicate member ${part}: ${key} needs it to be a struct`);
    level.set(part, inner);
    level = inner as Struct;
  }
  if (level.has(last)) throw new RelayError('CONFIG_INVALID', `duplicate member ${key}`);
  level.set(last, value);
}

/**
 * The dict of `co2 notify`: key=value pairs, one JSON object, or a text for its member `data`, optionally followed by pairs. Throws a
 * RelayError CONFIG_INVALID.
 */
export function dictOfWords(words: readonly string[], sources = PROCESS_SOURCES): Sendable {
  const [first, second, ...more] = paramsOf(words, sources);
  if (first === undefined || more.length > 0 || (second !== undefined && !(second instanceof Map)))
    throw new RelayError('CONFIG_INVALID', 'notify takes one dict: co2 notify hello, co2 notify data=hello topic=x, or one JSON object');
  const dict = isStruct(first) && second === undefined ? first : withData(first, second);
  if (dict instanceof Map ? dict.has('data') : Object.hasOwn(dict, 'data')) return dict;
  throw new RelayError('CONFIG_INVALID', 'the dict requires the member data: co2 notify data=hello');
}

function withData(data: Sendable, others: Struct = new Map()): Struct {
  if (isStruct(data)) throw new RelayError('CONFIG_INVALID', 'notify takes one dict: write all members in the JSON object');
  if (others.has('data')) throw new RelayError('CONFIG_INVALID', 'duplicate member data');
  return new Map<string, Sendable>([['data', data], ...others]);
}

function isStruct(value: Sendable): value is Dict | Struct {
  return value instanceof Map || isDict(value);
}

/** An argument: standard input for `-`, the content of a file for `@file`, else its own text, each read like {@link valueOf}. */
function argument(word: string, sources: ArgumentSources): Sendable {
  if (word === '-') return contentOf(sources.stdin(), 'standard input');
  if (!/^@./s.test(word)) return valueOf(word);
  const path = word.slice(1);
  let bytes: Buffer;
  try {
    bytes = sources.file(path);
  } catch (error) {
    const remedy = `for the text itself write '${clean(JSON.stringify(word))}'`;
    throw new RelayError('CONFIG_INVALID', `cannot read the file ${clean(path)}: ${clean(reasonOf(error))}; ${remedy}`);
  }
  return contentOf(bytes, path);
}

/** JSON or text without its last line end; bytes that are not UTF-8 are sent as base64. */
function contentOf(bytes: Buffer, name: string): Sendable {
  if (bytes.length > MAX_INPUT_BYTES) throw new RelayError('CONFIG_INVALID', `${clean(name)} is larger than 64 MiB`);
  try {
    return valueOf(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes).replace(/\r?\n$/, ''));
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return bytes;
  }
}

/** The value of a text: parsed if it is JSON, else a string. 1.0 is a double. Throws a RelayError CONFIG_INVALID. */
export function valueOf(text: string): Sendable {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  requireSizes(text);
  try {
    // Only arrays and dicts remember the exact types of their numbers.
    const document = readJson(Buffer.from(`[${text}]`));
    const list = (document.exactOf(document.value as readonly Value[]) ?? document.value) as readonly Sendable[];
    return list[0] ?? null;
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${clean(text, 40)}: ${reasonOf(error).replace(/^line 1, column \d+: /, '')}`, { cause: error });
  }
}

// A string, which is skipped, or a number in a JSON text.
const STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Rejects integers beyond 64 bits, which readers of JSON otherwise round to doubles. */
function requireSizes(text: string): void {
  for (const [token] of text.matchAll(STRING_OR_NUMBER)) {
    if (token.startsWith('"') || token.length < 19 || /[.eE]/.test(token)) continue;
    const whole = BigInt(token);
    if (whole === BigInt.asIntN(64, whole)) continue;
    const remedy = `write ${clean(token, 20)}.0 for a double`;
    throw new RelayError('CONFIG_INVALID', `${clean(token, 40)} does not fit 64 bits, the largest integer type; ${remedy}`);
  }
}

/** Matches a pattern in which `*` means any characters. Each part is searched for once, so that no pattern takes long. */
export function matchesPattern(text: string, pattern: string): boolean {
  const parts = pattern.split('*');
  const [first = ''] = parts;
  const last = parts.at(-1) ?? '';
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.slice(0, text.length - last.length).indexOf(part, at);
    if (found === -1) return false;
    at = found + part.length;
  }
  return true;
}
