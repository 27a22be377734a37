/**
 * What a store contains, in numbers: the ranges of its logs, the keys of its tables. A summary of it is written with every commit, so that
 * a start notices what is missing: records by their numbers, entries by the sum of their versions.
 */
import { RelayError } from '../core/core.ts';
import { LogLayout, TableLayout, decodeText, encodeText, isName } from './keys.ts';
import type { LogRange } from './port.ts';

/** Numbers `from` to before `to`. */
export type NumberRange = readonly [from: number, to: number];

/** The numbers of one log. */
export interface LogContents {
  readonly layout: LogLayout;
  first: number;
  next: number;
  /** `next` as of the last commit: what readers see. */
  visible: number;
  /** Records before this number are deleted from the map. */
  cleared: number;
  /** The numbers whose loss was reported. Ordered. */
  gaps: NumberRange[];
}

/** The keys of one table with the versions of their values. */
export interface TableContents {
  readonly layout: TableLayout;
  readonly versions: Map<string, number>;
  /** The sum of the versions, modulo {@link SUM_MODULUS}. */
  sum: number;
}

/** What a summary says. */
export interface Summary {
  readonly commit: number;
  readonly logs: Readonly<Record<string, readonly [first: number, next: number, gaps: readonly NumberRange[]]>>;
  readonly tables: Readonly<Record<string, readonly [count: number, sum: number]>>;
}

// Each is part of every summary. A store has a few logs and tables; names made from outside would fill it.
const MAX_NAMES = 64;
// Keys are kept in memory, about 100 bytes each. Protects the heap; a user that stores more needs a log.
const MAX_KEYS = 200_000;
// Gaps are part of every summary. Beyond that neighbours are joined, which only hides what is lost between them later on.
const MAX_GAPS = 64;
const SUM_MODULUS = 2 ** 48;

/** See the head of this file. */
export class Contents {
  commit = 0;
  readonly #logs = new Map<string, LogContents>();
  readonly #tables = new Map<string, TableContents>();
  #keys = 0;

  /** A log, which is added if it is new. Throws a RelayError LIMIT if there are too many, or INTERNAL for a name that is not allowed. */
  log(name: string): LogContents {
    const known = this.#logs.get(name);
    if (known) return known;
    this.#checkName(name);
    const log = { layout: new LogLayout(name), first: 1, next: 1, visible: 1, cleared: 1, gaps: [] };
    this.#logs.set(name, log);
    return log;
  }

  /** A table, as {@link log}. */
  table(name: string): TableContents {
    const known = this.#tables.get(name);
    if (known) return known;
    this.#checkName(name);
    const table = { layout: new TableLayout(name), versions: new Map<string, number>(), sum: 0 };
    this.#tables.set(name, table);
    return table;
  }

  range(name: string): LogRange {
    const log = this.#logs.get(name);
    return { first: log?.first ?? 1, next: log?.visible ?? 1 };
  }

  count(name: string): number {
    return this.#tables.get(name)?.versions.size ?? 0;
  }

  /** Records that a key has a value of this version. */
  put(table: TableContents, key: string, version: number): void {
    const before = table.versions.get(key);
    if (before === undefined) this.#keys++;
    table.versions.set(key, version);
    table.sum = (table.sum + version - (before ?? 0) + SUM_MODULUS) % SUM_MODULUS;
  }

  /** Records that a key has no value; false if it had none. */
  delete(table: TableContents, key: string): boolean {
    const before = table.versions.get(key);
    if (before === undefined) return false;
    this.#keys--;
    table.versions.delete(key);
    table.sum = (table.sum - before + SUM_MODULUS) % SUM_MODULUS;
    return true;
  }

  /** True if no more than `keys` new keys fit. */
  isFull(keys: number): boolean {
    return this.#keys + keys > MAX_KEYS;
  }

  /** Returns the function that makes visible what is appended by now; it is called once that is written. */
  publisher(): () => void {
    const marks = [...this.#logs.values()].map((log) => [log, log.next] as const);
    return () => {
      for (const [log, next] of marks) log.visible = next;
    };
  }

  logs(): Iterable<[string, LogContents]> {
    return this.#logs;
  }

  tables(): Iterable<[string, TableContents]> {
    return this.#tables;
  }

  encode(): Buffer {
    // JSON of a {@link Summary}, written by hand since it is part of each commit. No name needs to be escaped.
    let logs = '';
    for (const [name, { first, next, gaps }] of this.#logs)
      logs += `${logs && ','}"${name}":[${first},${next},${gaps.length === 0 ? '[]' : JSON.stringify(gaps)}]`;
    let tables = '';
    for (const [name, { versions, sum }] of this.#tables) tables += `${tables && ','}"${name}":[${versions.size},${sum}]`;
    return encodeText(`{"commit":${this.commit},"logs":{${logs}},"tables":{${tables}}}`);
  }

  #checkName(name: string): void {
    if (!isName(name)) throw new RelayError('INTERNAL', `'${name}' cannot be the name of a log or table`);
    if (this.#logs.size + this.#tables.size >= MAX_NAMES) throw new RelayError('LIMIT', `a store has at most ${MAX_NAMES} logs and tables`);
  }
}

/** Reads a summary; undefined if it is damaged. */
export function decodeSummary(stored: Buffer): Summary | undefined {
  const text = decodeText(stored);
  return text === undefined ? undefined : (JSON.parse(text) as Summary);
}

/** `gaps` with another one; joined where they touch, and where there are too many. */
export function withGap(gaps: readonly NumberRange[], gap: NumberRange): NumberRange[] {
  const joined: NumberRange[] = [];
  for (const [from, to] of [...gaps, gap].sort(([one], [other]) => one - other)) {
    const last = joined.at(-1);
    if (last && from <= last[1]) joined[joined.length - 1] = [last[0], Math.max(last[1], to)];
    else joined.push([from, to]);
  }
  while (joined.length > MAX_GAPS) {
    let nearest = 1;
    for (let index = 2; index < joined.length; index++) if (distance(joined, index) < distance(joined, nearest)) nearest = index;
    joined.splice(nearest - 1, 2, [joined[nearest - 1]?.[0] ?? 0, joined[nearest]?.[1] ?? 0]);
  }
  return joined;
}

function distance(gaps: readonly NumberRange[], index: number): number {
  return (gaps[index]?.[0] ?? 0) - (gaps[index - 1]?.[1] ?? 0);
}
