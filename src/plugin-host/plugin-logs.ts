/** The last lines of each plugin's log, for remote readers: bounded, numbered, truncated, and with likely secrets hidden. */
import { format } from 'node:util';
import { clean } from '../core/core.ts';
import type { Log, LogSource } from '../core/core.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface PluginLine {
  /** The number of the line in its plugin, from 1. */
  readonly number: number;
  readonly at: Date;
  readonly level: LogLevel;
  readonly text: string;
}

interface Ring {
  readonly lines: PluginLine[];
  characters: number;
  last: number;
}

const CATEGORY = 'plugin.';
const MAX_LINES = 500;
const MAX_CHARACTERS = 64 * 1024;
const MAX_TEXT = 2_000;
const HIDDEN = '(hidden)';
// Passwords in URLs, credentials, and the words after `token` and the like. Texts are truncated first, and each pattern can start at few
// positions of a text, so no text takes long to match.
const SECRET_PATTERNS = [
  /(?<=\/\/[^/@:\s]{0,100}:)[^/@\s]+(?=@)/g,
  /(?<=\b(?:bearer|basic)\s)[\w.~+/=-]{8,}/gi,
  /(?<=(?:token|passw(?:or)?d|secret|api_?key|credential)["']?\s?[=:]\s?["']?)[^\s"',;]{4,}/gi,
];

export class PluginLogs {
  readonly #rings = new Map<string, Ring>();

  /** `secrets` are hidden wherever they occur. `date` returns ms since 1970. */
  constructor(
    private readonly logs: LogSource,
    private readonly secrets: readonly string[],
    private readonly date: () => number,
  ) {}

  /** The same loggers, except that lines of plugins are also kept, whatever level the log itself writes. */
  readonly source: LogSource = (category) => {
    const log = this.logs(category);
    return category.startsWith(CATEGORY) ? this.#recording(log, this.#ringOf(category.slice(CATEGORY.length))) : log;
  };

  /**
   * The last `count` lines of a plugin after the number `since`. A number that has not been reached was issued by an earlier run of the
   * relay; then all lines count.
   */
  lines(plugin: string, count: number, since = 0): readonly PluginLine[] {
    const { lines = [], last = 0 } = this.#rings.get(plugin) ?? {};
    const from = since > last ? 0 : since;
    return count === 0 ? [] : lines.filter(({ number }) => number > from).slice(-count);
  }

  #ringOf(plugin: string): Ring {
    const ring = this.#rings.get(plugin) ?? { lines: [], characters: 0, last: 0 };
    this.#rings.set(plugin, ring);
    return ring;
  }

  #recording(log: Log, ring: Ring): Log {
    const at =
      (level: LogLevel) =>
      (text: string, ...more: unknown[]): void => {
        log[level](text, ...more);
        if (level !== 'debug' || log.isDebugEnabled()) this.#keep(ring, level, more.length === 0 ? text : format(text, ...more));
      };
    return {
      ...{ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      isDebugEnabled: () => log.isDebugEnabled(),
      isInfoEnabled: () => true,
    };
  }

  #keep(ring: Ring, level: LogLevel, raw: string): void {
    const text = this.#withoutSecrets(clean(raw.slice(0, MAX_TEXT).replaceAll('\n', ' | '), MAX_TEXT));
    ring.lines.push({ number: ++ring.last, at: new Date(this.date()), level, text });
    ring.characters += text.length;
    while (ring.lines.length > MAX_LINES || ring.characters > MAX_CHARACTERS) ring.characters -= ring.lines.shift()?.text.length ?? 0;
  }

  #withoutSecrets(text: string): string {
    const known = this.secrets.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    return SECRET_PATTERNS.reduce((rest, pattern) => rest.replace(pattern, HIDDEN), known);
  }
}
