/** The last lines of the log, per plugin and of all, for remote readers: bounded, numbered, truncated, and with likely secrets hidden. */
import { format } from 'node:util';
import type { Clock } from './clock.ts';
import { RelayError } from './errors.ts';
import type { Log, LogSource } from './log.ts';
import { clean } from './text.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogLine {
  /** The number of the line, from 1: among those of its plugin, or among all. */
  readonly number: number;
  /** `plugin.ham.spam` for a plugin, the name of a part of the relay for others. */
  readonly category: string;
  readonly at: Date;
  readonly level: LogLevel;
  readonly text: string;
}

interface Ring {
  readonly lines: LogLine[];
  characters: number;
  last: number;
}

/** What a reader asks for: the last `count` lines after the number `since`. */
export interface LogQuery {
  readonly count: number;
  /** Default 0. A number that has not been reached was issued by an earlier run of the relay; then all lines count. */
  readonly since?: number | undefined;
  /** For how long to wait for a line if there is none, in ms. */
  readonly waitMs: number;
  /** Aborted when the reader has gone. */
  readonly gone?: AbortSignal | undefined;
}

const CATEGORY = 'plugin.';
// The access log has a line for each request, and a file of its own.
const ACCESS = 'access';
// As much as a person reads, per plugin and for all lines together.
const MAX_LINES = 500;
const MAX_CHARACTERS = 64 * 1024;
// Each follower holds a connection. This is enough for some people and a dashboard.
const MAX_FOLLOWERS = 20;
const MAX_TEXT = 2_000;
const HIDDEN = '(hidden)';
// Passwords in URLs, credentials, and the words after `token` and the like. Texts are truncated first, and each pattern can start at few
// positions of a text, so no text takes long to match.
const SECRET_PATTERNS = [
  /(?<=\/\/[^/@:\s]{0,100}:)[^/@\s]+(?=@)/g,
  /(?<=\b(?:bearer|basic)\s)[\w.~+/=-]{8,}/gi,
  /(?<=(?:token|passw(?:or)?d|secret|api_?key|credential)["']?\s?[=:]\s?["']?)[^\s"',;]{4,}/gi,
];

export class RecentLogs {
  readonly #rings = new Map<string, Ring>();
  readonly #all = emptyRing();
  readonly #followers = new Set<() => void>();

  /** `secrets` are hidden wherever they occur. `date` returns ms since 1970. */
  constructor(
    private readonly logs: LogSource,
    private readonly secrets: readonly string[],
    private readonly date: () => number,
    private readonly clock: Pick<Clock, 'after'>,
  ) {}

  /** The same loggers, except that their lines are also kept; of debug lines, only those that the log itself writes. */
  readonly source: LogSource = (category) => {
    if (category === ACCESS) return this.logs(category);
    const own = category.startsWith(CATEGORY) ? [this.#ringOf(category.slice(CATEGORY.length))] : [];
    return this.#recording(this.logs(category), category, [...own, this.#all]);
  };

  /** The last lines of the relay and its plugins. Rejects with a RelayError LIMIT if too many readers wait. */
  async recent({ count, since = 0, waitMs, gone }: LogQuery): Promise<readonly LogLine[]> {
    const now = this.#linesOf(this.#all, count, since);
    if (now.length > 0 || count === 0 || waitMs === 0 || gone?.aborted === true) return now;
    if (this.#followers.size >= MAX_FOLLOWERS)
      throw new RelayError('LIMIT', `${MAX_FOLLOWERS} readers wait for lines of the log already; try again later`);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        gone?.removeEventListener('abort', end);
        this.#followers.delete(end);
        resolve();
      };
      const cancel = this.clock.after(waitMs, end);
      gone?.addEventListener('abort', end);
      this.#followers.add(end);
    });
    return this.#linesOf(this.#all, count, since);
  }

  /** Answers all readers that wait. */
  close(): void {
    for (const end of [...this.#followers]) end();
  }

  /**
   * The last `count` lines of a plugin after the number `since`. A number that has not been reached was issued by an earlier run of the
   * relay; then all lines count.
   */
  lines(plugin: string, count: number, since = 0): readonly LogLine[] {
    return this.#linesOf(this.#rings.get(plugin) ?? emptyRing(), count, since);
  }

  #linesOf({ lines, last }: Ring, count: number, since: number): readonly LogLine[] {
    const from = since > last ? 0 : since;
    const found = count === 0 ? [] : lines.filter(({ number }) => number > from).slice(-count);
    return found.map(({ text, ...line }) => ({ ...line, text: this.#withoutSecrets(clean(text.replaceAll('\n', ' | '), MAX_TEXT)) }));
  }

  #ringOf(plugin: string): Ring {
    const ring = this.#rings.get(plugin) ?? emptyRing();
    this.#rings.set(plugin, ring);
    return ring;
  }

  #recording(log: Log, category: string, rings: readonly Ring[]): Log {
    const at =
      (level: LogLevel) =>
      (text: string, ...more: unknown[]): void => {
        log[level](text, ...more);
        if (level !== 'debug' || log.isDebugEnabled()) this.#keep(rings, category, level, more.length === 0 ? text : format(text, ...more));
      };
    return {
      ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      isDebugEnabled: () => log.isDebugEnabled(),
      isInfoEnabled: () => true,
    };
  }

  /** Keeps the text as it is: it is cleaned when it is read, which happens seldom. */
  #keep(rings: readonly Ring[], category: string, level: LogLevel, raw: string): void {
    // A copy, since a part of a text keeps all of it in memory.
    const text = raw.length > MAX_TEXT ? Buffer.from(raw.slice(0, MAX_TEXT)).toString() : raw;
    const at = new Date(this.date());
    for (const ring of rings) {
      ring.lines.push({ number: ++ring.last, category, at, level, text });
      ring.characters += text.length;
      while (ring.lines.length > MAX_LINES || ring.characters > MAX_CHARACTERS) ring.characters -= ring.lines.shift()?.text.length ?? 0;
    }
    if (this.#followers.size > 0) this.close();
  }

  #withoutSecrets(text: string): string {
    const known = this.secrets.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    return SECRET_PATTERNS.reduce((rest, pattern) => rest.replace(pattern, HIDDEN), known);
  }
}

function emptyRing(): Ring {
  return { lines: [], characters: 0, last: 0 };
}
