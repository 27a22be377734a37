/** The last lines of each plugin's log, to be asked for from afar: bounded, numbered, cut, and without what looks like a secret. */
import { format } from 'node:util';
import { clean } from '../core/core.ts';
import type { Log, LogSource } from '../core/core.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface PluginLine {
  /** Counts the plugin's lines, from 1. */
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
// The password of a URL, what is sent as a credential, and what stands beside a word that means one. Texts are cut before, and
// a match is tried at few places of a text, whatever a program writes.
const SECRETS = [
  /(?<=\/\/[^/@:\s]{0,100}:)[^/@\s]+(?=@)/g,
  /(?<=\b(?:bearer|basic)\s)[\w.~+/=-]{8,}/gi,
  /(?<=(?:token|passw(?:or)?d|secret|api_?key|credential)["']?\s?[=:]\s?["']?)[^\s"',;]{4,}/gi,
];

export class PluginLogs {
  readonly #rings = new Map<string, Ring>();

  /** `secrets` are hidden wherever they stand; `date`: ms since 1970. */
  constructor(
    private readonly logs: LogSource,
    private readonly secrets: readonly string[],
    private readonly date: () => number,
  ) {}

  /** The same loggers, of which those of plugins are listened to, at whatever level the log itself writes. */
  readonly source: LogSource = (category) => {
    const log = this.logs(category);
    return category.startsWith(CATEGORY) ? this.#listened(log, this.#ringOf(category.slice(CATEGORY.length))) : log;
  };

  /**
   * The last `count` lines of a plugin that came after the number `since`; whatever is there for a number that none of them has reached,
   * which a relay gave that ran before.
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

  #listened(log: Log, ring: Ring): Log {
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

  #keep(ring: Ring, level: LogLevel, said: string): void {
    const text = this.#withoutSecrets(clean(said.slice(0, MAX_TEXT).replaceAll('\n', ' | '), MAX_TEXT));
    ring.lines.push({ number: ++ring.last, at: new Date(this.date()), level, text });
    ring.characters += text.length;
    while (ring.lines.length > MAX_LINES || ring.characters > MAX_CHARACTERS) ring.characters -= ring.lines.shift()?.text.length ?? 0;
  }

  #withoutSecrets(text: string): string {
    const known = this.secrets.reduce((rest, secret) => rest.replaceAll(secret, HIDDEN), text);
    return SECRETS.reduce((rest, pattern) => rest.replace(pattern, HIDDEN), known);
  }
}
