/**
 * Verifies a store when it is opened: every checksum, the numbers of every log, the keys of every table, and that the newest commits are
 * there. What is damaged is set aside and reported, and the rest is used.
 */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import { Contents, decodeSummary, withGap } from './contents.ts';
import type { LogContents, Summary } from './contents.ts';
import type { Disk, Engine, EngineOperation, Pair } from './engine.ts';
import { EVERYTHING, LogLayout, SUMMARY_KEY, TableLayout, parseKey } from './keys.ts';
import type { StoreDamage } from './port.ts';

/** An open store whose content is verified. */
export interface Verified {
  readonly engine: Engine;
  readonly contents: Contents;
  readonly damage: readonly StoreDamage[];
}

/** What was found in an engine. */
interface Findings {
  readonly contents: Contents;
  readonly damage: readonly StoreDamage[];
  /** True if something is missing, which a repair may bring back; a wrong checksum stays wrong. */
  readonly isIncomplete: boolean;
  /** Removes what was set aside. */
  readonly corrections: readonly EngineOperation[];
}

// A store whose every record is damaged is reported in as many lines as an operator reads; the file with what was set aside has them all.
const MAX_REPORTED = 100;

/** Opens the disk and verifies everything. If it cannot be read, or something is missing, it is repaired; if that fails, it is replaced. */
export async function openVerified(disk: Disk): Promise<Verified> {
  const first = await attempt(disk);
  if (first.findings && !first.findings.isIncomplete) return accepted(disk, first, []);
  await first.engine?.close();
  const repaired: StoreDamage = { what: `the files: ${first.reason}; they were repaired`, movedTo: await disk.repair('repair') };
  const second = await attempt(disk);
  if (second.findings) return accepted(disk, second, [repaired]);
  await second.engine?.close();
  const replaced: StoreDamage = {
    what: `the files: ${second.reason}; nothing in them could be used`,
    movedTo: await disk.repair('replace'),
  };
  return accepted(disk, await attempt(disk), [repaired, replaced]);
}

interface Attempt {
  readonly engine: Engine | undefined;
  readonly findings: Findings | undefined;
  /** Why the findings are not good enough. */
  readonly reason: string;
}

async function attempt(disk: Disk): Promise<Attempt> {
  let engine: Engine | undefined;
  try {
    engine = await disk.open();
    const findings = await examine(engine);
    return { engine, findings, reason: 'something is missing' };
  } catch (error) {
    if (RelayError.is(error)) {
      await engine?.close();
      throw error;
    }
    return { engine, findings: undefined, reason: reasonOf((error as { cause?: unknown }).cause ?? error) };
  }
}

async function accepted(disk: Disk, { engine, findings, reason }: Attempt, more: readonly StoreDamage[]): Promise<Verified> {
  if (!engine || !findings) throw new RelayError('STATE_DIRECTORY', `the store cannot be opened: ${reason}`);
  const { contents, damage, corrections } = findings;
  if (damage.length > 0) await engine.batch([...corrections, { type: 'put', key: SUMMARY_KEY, value: contents.encode() }], true);
  await disk.accept();
  return { engine, contents, damage: [...more, ...damage] };
}

/** Reads and verifies everything; changes nothing. */
async function examine(engine: Engine): Promise<Findings> {
  const examination = new Examination(engine);
  for await (const page of engine.pages(EVERYTHING))
    for (const pair of page) if (!examination.accept(pair)) await examination.setAside(pair);
  return examination.finish();
}

class Examination {
  readonly #contents = new Contents();
  readonly #engine: Engine;
  readonly #damage: StoreDamage[] = [];
  readonly #corrections: EngineOperation[] = [];
  #unreported = 0;
  #isIncomplete = false;
  #isSummaryWrong = false;
  #summary: Summary | undefined;
  #pairs = 0;
  /** The log of the last pair, since the records of a log come one after another. */
  #log: { readonly name: string; readonly contents: LogContents } | undefined;
  #lastReason = '';
  /** How many entries of each table have a wrong checksum. */
  readonly #wrongEntries = new Map<string, number>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Takes the next pair in order of the keys; false if it has to be set aside. */
  accept([key, stored]: Pair): boolean {
    this.#pairs++;
    const { name = '', contents } = this.#log ?? {};
    if (contents?.layout.owns(key)) return this.#acceptRecordOf(name, contents, contents.layout.numberIn(key), stored);
    const parsed = parseKey(key);
    switch (parsed.type) {
      case 'summary':
        this.#summary = decodeSummary(stored);
        this.#isSummaryWrong = this.#summary === undefined;
        return !this.#isSummaryWrong || this.#refuse('the summary: the checksum is wrong');
      case 'record':
        return this.#acceptRecord(parsed.log, parsed.number, stored);
      case 'entry':
        return this.#acceptEntry(parsed.table, parsed.key, key, stored);
      default:
        return this.#refuse('a key that no log or table has');
    }
  }

  async setAside(pair: Pair): Promise<void> {
    this.#report(this.#lastReason, await this.#engine.setAside(pair, this.#lastReason));
    this.#corrections.push({ type: 'del', key: pair[0] });
  }

  finish(): Findings {
    for (const [name, [, next]] of Object.entries(this.#summary?.logs ?? {})) this.#skipTo(next, name, this.#logOf(name));
    for (const [name, [count, sum]] of Object.entries(this.#summary?.tables ?? {})) this.#compareTable(name, count, sum);
    this.#compareCommit();
    for (const [, log] of this.#contents.logs()) log.visible = log.next;
    if (this.#unreported > 0) this.#damage.push({ what: `${this.#unreported} more like these`, movedTo: undefined });
    return { contents: this.#contents, damage: this.#damage, isIncomplete: this.#isIncomplete, corrections: this.#corrections };
  }

  #acceptRecord(name: string, number: number, stored: Buffer): boolean {
    // The damage may be in the name.
    if (!this.#isKnown('logs', name) && !new LogLayout(name).decode(number, stored)) return this.#refuse('a record of an unknown log');
    return this.#acceptRecordOf(name, this.#logOf(name), number, stored);
  }

  #acceptRecordOf(name: string, log: LogContents, number: number, stored: Buffer): boolean {
    if (number < log.first) {
      // A trim that the end of the process interrupted.
      log.cleared = Math.min(log.cleared, number);
      return true;
    }
    this.#skipTo(number, name, log);
    log.next = number + 1;
    if (log.layout.decode(number, stored)) return true;
    log.gaps = withGap(log.gaps, [number, number + 1]);
    return this.#refuse(`log ${name}, number ${number}: the checksum is wrong`);
  }

  #acceptEntry(name: string, entryKey: string, key: Buffer, stored: Buffer): boolean {
    const decoded = new TableLayout(name).decode(key, stored);
    if (!decoded && !this.#isKnown('tables', name)) return this.#refuse('an entry of an unknown table');
    const table = this.#contents.table(name);
    if (!decoded) {
      this.#wrongEntries.set(name, (this.#wrongEntries.get(name) ?? 0) + 1);
      return this.#refuse(`table ${name}, key ${clean(entryKey, 100)}: the checksum is wrong`);
    }
    this.#contents.put(table, entryKey, decoded.version);
    return true;
  }

  #isKnown(kind: 'logs' | 'tables', name: string): boolean {
    return this.#summary !== undefined && Object.hasOwn(this.#summary[kind], name);
  }

  /** The log with the numbers that the summary knows; without one it begins with the first record that is found. */
  #logOf(name: string): LogContents {
    if (this.#log?.name === name) return this.#log.contents;
    const contents = this.#contents.log(name);
    this.#log = { name, contents };
    const known = this.#summary?.logs[name];
    if (known && contents.next === 1) {
      const [first, , gaps] = known;
      Object.assign(contents, { first, next: first, cleared: first, gaps: [...gaps] });
    }
    return contents;
  }

  /** Goes on with this number; reports those before it that should have come. */
  #skipTo(number: number, name: string, log: LogContents): void {
    if (this.#summary === undefined && log.next === 1) Object.assign(log, { first: number, cleared: number });
    else if (log.next < number) {
      // Known gaps were reported by an earlier start.
      for (const [from, to] of without([log.next, number], log.gaps)) {
        this.#missing(`log ${name}: ${to - from === 1 ? `number ${from} is` : `numbers ${from} to ${to - 1} are`} missing`);
        log.gaps = withGap(log.gaps, [from, to]);
      }
    }
    log.next = Math.max(log.next, number);
  }

  #compareTable(name: string, count: number, sum: number): void {
    const table = this.#contents.table(name);
    const wrong = this.#wrongEntries.get(name) ?? 0;
    const found = table.versions.size + wrong;
    if (found < count) this.#missing(`table ${name}: ${count - found} of ${count} entries are missing`);
    else if (found > count) this.#missing(`table ${name}: ${found - count} deleted entries are back`);
    else if (wrong === 0 && table.sum !== sum) this.#missing(`table ${name}: at least one entry has an older value`);
  }

  #compareCommit(): void {
    const { noted } = this.#engine;
    const found = this.#summary?.commit ?? 0;
    if (this.#summary === undefined && this.#pairs > 0 && !this.#isSummaryWrong) this.#missing('the summary is missing');
    if (noted > found && !this.#isSummaryWrong) this.#missing(`the newest writes are missing: ${noted - found} of ${noted}`);
    this.#contents.commit = Math.max(noted, found);
  }

  #missing(what: string): void {
    this.#isIncomplete = true;
    this.#report(what, undefined);
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
