/** An answer as text for people, or as exact JSON for programs. Pure; recursion is bounded, since the parser lets nothing deeper than 64 in. */
import { clean, safeJson } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';

const BIG = /"\\u0000(-?\d+)"/g;

/**
 * JSON: a date as ISO 8601, bytes as `{"base64": "..."}`, a long integer with all its digits; on one line if `indent` is 0. Characters that steer a terminal are escaped,
 * so it can be looked at as well as parsed.
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

/** Lines for people: strings as they are, members aligned, what is inside indented. */
export function toText(value: Value): string {
  if (Array.isArray(value)) return listText(value as readonly Value[]);
  return isDict(value) ? structText(value) : scalarText(value);
}

/** A line for each record, the columns aligned under their names; other answers as {@link toText}. */
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
  // Records are told apart by an empty line.
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
  // A mean of times has sixteen digits, and nobody reads more than three of them behind the point.
  if (typeof value === 'number') return String(Number(value.toFixed(3)));
  if (value === undefined || value === '') return '-';
  return oneLine(Array.isArray(value) ? value.map(scalarText).join(':') : toText(value));
}

/** An answer must not steer a terminal. */
function oneLine(text: string): string {
  return clean(text, Infinity);
}
