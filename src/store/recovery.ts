/**
 * Verifies a store when it is opened: every checksum, the numbers of every log, the keys of every table, and that the newest commits are
 * there. What is damaged is set aside and reported, and the rest is used.
 */
import { clean } from '../core/core.ts';
import { Contents, decodeSummary, withGap } from './contents.ts';
import type { LogContents, Summary } from './contents.ts';
import type { Engine, EngineOperation, Pair } from './engine.ts';
import { EVERYTHING, SUMMARY_KEY, parseKey } from './keys.ts';
import type { StoreDamage } from './port.ts';

/** What was found. */
export interface Recovered {
  readonly contents: Contents;
  readonly damage: readonly StoreDamage[];
}

// A store whose every record is damaged is reported in as many lines as an operator reads; the file with what was set aside has them all.
const MAX_REPORTED = 100;

/** Reads and verifies everything; what is damaged, and what was left behind by a trim, is removed from the map. */
export async function recover(engine: Engine): Promise<Recovered> {
  const recovery = new Recovery(engine);
  for await (const page of engine.pages(EVERYTHING)) for (const pair of page) if (!recovery.accept(pair)) await recovery.setAside(pair);
  await recovery.finish();
  return recovery;
}

class Recovery implements Recovered {
  readonly contents = new Contents();
  readonly #engine: Engine;
  readonly #damage: StoreDamage[] = [];
  readonly #removed: EngineOperation[] = [];
  #unreported = 0;
  #summary: Summary | undefined;
  #pairs = 0;
  /** The log of the last pair, since the records of a log come one after another. */
  #log: { readonly name: string; readonly contents: LogContents } | undefined;
  #lastReason = '';

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get damage(): readonly StoreDamage[] {
    const more = { what: `${this.#unreported} more like these`, movedTo: undefined };
    return this.#unreported === 0 ? this.#damage : [...this.#damage, more];
  }

  /** Takes the next pair in order of the keys; false if it has to be set aside. */
  accept([key, stored]: Pair): boolean {
    this.#pairs++;
    const parsed = parseKey(key);
    switch (parsed.type) {
      case 'summary':
        this.#summary = decodeSummary(stored);
        return this.#summary !== undefined || this.#refuse('the summary: the checksum is wrong');
      case 'record':
        return this.#acceptRecord(parsed.log, parsed.number, key, stored);
      case 'entry':
        return this.#acceptEntry(parsed.table, parsed.key, key, stored);
      default:
        return this.#refuse('a key that no log or table has');
    }
  }

  async setAside(pair: Pair): Promise<void> {
    this.#report(this.#lastReason, await this.#engine.setAside(pair, this.#lastReason));
    this.#removed.push({ type: 'del', key: pair[0] });
  }

  async finish(): Promise<void> {
    for (const [name, [, next]] of Object.entries(this.#summary?.logs ?? {})) this.#missing(name, this.#logOf(name), next);
    for (const [name, [count, sum]] of Object.entries(this.#summary?.tables ?? {})) this.#compareTable(name, count, sum);
    this.#compareCommit();
    const { contents } = this;
    for (const [, log] of contents.logs()) Object.assign(log, { visible: log.next, cleared: log.first });
    if (this.#removed.length === 0 && this.#damage.length === 0) return;
    this.#removed.push({ type: 'put', key: SUMMARY_KEY, value: contents.encode() });
    await this.#engine.batch(this.#removed, true);
  }

  #acceptRecord(name: string, number: number, key: Buffer, stored: Buffer): boolean {
    const log = this.#logOf(name);
    if (number < log.first) {
      // A trim that the end of the process interrupted.
      this.#removed.push({ type: 'del', key });
      return true;
    }
    this.#missing(name, log, number);
    log.next = number + 1;
    if (log.layout.decode(number, stored)) return true;
    log.gaps = withGap(log.gaps, [number, number + 1]);
    return this.#refuse(`log ${name}, number ${number}: the checksum is wrong`);
  }

  #acceptEntry(name: string, entryKey: string, key: Buffer, stored: Buffer): boolean {
    const table = this.contents.table(name);
    const decoded = table.layout.decode(key, stored);
    if (!decoded) return this.#refuse(`table ${name}, key ${clean(entryKey, 100)}: the checksum is wrong`);
    this.contents.put(table, entryKey, decoded.version);
    return true;
  }

  /** The log with the numbers that the summary knows; without one it begins with the first record that is found. */
  #logOf(name: string): LogContents {
    if (this.#log?.name === name) return this.#log.contents;
    const contents = this.contents.log(name);
    this.#log = { name, contents };
    const known = this.#summary?.logs[name];
    if (known && contents.next === 1) {
      const [first, , gaps] = known;
      Object.assign(contents, { first, next: first, gaps: [...gaps] });
    }
    return contents;
  }

  /** Reports the numbers before `number` that should have come. */
  #missing(name: string, log: LogContents, number: number): void {
    if (this.#summary === undefined && log.next === 1) log.first = number;
    else if (log.next < number) {
      // Known gaps were reported by an earlier start.
      const lost = without([log.next, number], log.gaps);
      for (const [from, to] of lost) {
        this.#report(`log ${name}: ${to - from === 1 ? `number ${from} is` : `numbers ${from} to ${to - 1} are`} missing`, undefined);
        log.gaps = withGap(log.gaps, [from, to]);
      }
    }
    log.next = Math.max(log.next, number);
  }

  #compareTable(name: string, count: number, sum: number): void {
    const table = this.contents.table(name);
    const found = table.versions.size;
    if (found < count) this.#report(`table ${name}: ${count - found} of ${count} entries are missing`, undefined);
    else if (found > count) this.#report(`table ${name}: ${found - count} deleted entries are back`, undefined);
    else if (table.sum !== sum) this.#report(`table ${name}: at least one entry has an older value`, undefined);
  }

  #compareCommit(): void {
    const { noted } = this.#engine;
    const found = this.#summary?.commit ?? 0;
    if (this.#summary === undefined && this.#pairs > 0 && this.#damage.length === 0) this.#report('the summary is missing', undefined);
    if (noted > found) this.#report(`the newest writes are missing: ${noted - found} of ${noted}`, undefined);
    this.contents.commit = Math.max(noted, found);
  }

  #refuse(reason: string): false {
    this.#lastReason = reason;
    return false;
  }

  #report(what: string, movedTo: string | undefined): void {
    if (this.#damage.length < MAX_REPORTED) this.#damage.push({ what, movedTo });
    else this.#unreported++;
  }
}

/** `range` without the parts that `known` covers, which is ordered. */
function without([from, to]: readonly [number, number], known: readonly (readonly [number, number])[]): (readonly [number, number])[] {
  const rest: (readonly [number, number])[] = [];
  let at = from;
  for (const [start, end] of known) {
    if (end <= at || start >= to) continue;
    if (start > at) rest.push([at, start]);
    at = Math.max(at, end);
  }
  if (at < to) rest.push([at, to]);
  return rest;
}
