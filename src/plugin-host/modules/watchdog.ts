/**
 * Reports the inline plugin that blocks the event loop. Synchronous work, up to the first `await`, is measured exactly. Work after an
 * `await` is noticed by a timer that fires late; then the plugins that were active are suspects. The timer runs only while one is active.
 */
import { RateLimitedLog } from '../../core/core.ts';
import type { Clock, LogSource } from '../../core/core.ts';

/** A plugin, as the watchdog knows it. It stays the same when the plugin is reloaded. */
export interface Watched {
  readonly name: string;
  /** How often it blocked the event loop. */
  readonly held: number;
}

export interface WatchdogParts {
  /** ms for which a plugin may block the event loop. Infinity: nothing is watched. */
  readonly limitMs: number;
  readonly clock: Clock;
  readonly logs: LogSource;
  /**
   * ms of processor time that this process has used: if it waited for the processor, no plugin is to blame. Default: that of the system.
   */
  readonly cpuMs?: (() => number) | undefined;
}

interface Plugin extends Watched {
  held: number;
  /** Its work that has not settled. */
  pending: number;
  lastEnd: number;
  readonly warnings: RateLimitedLog;
}

interface Beat {
  readonly from: number;
  readonly due: number;
  readonly cpuMs: number;
  readonly cancelTimer: () => void;
}

// The timer fires five times in that time, so a block that is a fifth longer is always noticed.
const BEATS = 5;
const MIN_BEAT_MS = 10;
const MAX_SUSPECTS = 5;

export class Watchdog {
  readonly #parts: WatchdogParts;
  readonly #cpuMs: () => number;
  readonly #plugins = new Map<string, Plugin>();
  readonly #warnings: RateLimitedLog;
  #pending = 0;
  #beat: Beat | undefined;
  // ms since the last beat that are attributed to a plugin already, and ms of the calls within the current call.
  #knownMs = 0;
  #innerMs = 0;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
    this.#cpuMs = parts.cpuMs ?? machineCpuMs;
    this.#warnings = new RateLimitedLog(parts.logs('plugin-host'), parts.clock);
  }

  /** Returns the same object for the same name. */
  of(name: string): Watched {
    const known = this.#plugins.get(name);
    if (known) return known;
    const { clock, logs } = this.#parts;
    const warnings = new RateLimitedLog(logs(`plugin.${name}`), clock);
    const plugin: Plugin = { name, held: 0, pending: 0, lastEnd: -Infinity, warnings };
    this.#plugins.set(name, plugin);
    return plugin;
  }

  /**
   * Runs `work`, which belongs to the plugin, and returns its result. `what` names the work in the log. A nested call of another plugin
   * counts for that plugin. `since` is the time now, for a caller that has just read the clock.
   */
  run<T>({ name }: Watched, what: string, work: () => T, since = this.#parts.clock.now()): T {
    const { clock, limitMs } = this.#parts;
    const outerMs = this.#innerMs;
    this.#innerMs = 0;
    try {
      return work();
    } finally {
      const took = clock.now() - since;
      const own = took - this.#innerMs;
      this.#innerMs = outerMs + took;
      this.#knownMs += own;
      if (own > limitMs) this.#held(name, own, what);
    }
  }

  /** Notes that the plugin has begun asynchronous work. Each call must be followed by one of {@link end}. */
  begin({ name }: Watched): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.pending++;
    this.#pending++;
    if (!this.#beat && this.#parts.limitMs < Infinity) this.#arm();
  }

  /** Notes that a piece of asynchronous work has settled. */
  end({ name }: Watched): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.pending--;
    plugin.lastEnd = this.#parts.clock.now();
    this.#pending--;
  }

  stop(): void {
    this.#beat?.cancelTimer();
    this.#beat = undefined;
  }

  #arm(): void {
    const { clock, limitMs } = this.#parts;
    const from = clock.now();
    const ms = Math.max(MIN_BEAT_MS, limitMs / BEATS);
    this.#knownMs = 0;
    this.#beat = {
      ...{ from, due: from + ms, cpuMs: this.#cpuMs() },
      cancelTimer: clock.after(ms, () => {
        this.#onBeat();
      }),
    };
  }

  #onBeat(): void {
    const beat = this.#beat;
    this.#beat = undefined;
    if (!beat) return;
    const lateMs = this.#parts.clock.now() - beat.due - this.#knownMs;
    if (lateMs > this.#parts.limitMs && this.#cpuMs() - beat.cpuMs > lateMs / 2) this.#suspect(beat, lateMs);
    if (this.#pending > 0) this.#arm();
  }

  #suspect({ from }: Beat, lateMs: number): void {
    const suspects = [...this.#plugins.values()].filter(({ pending, lastEnd }) => pending > 0 || lastEnd >= from);
    const [first, ...others] = suspects;
    if (!first) return;
    if (others.length === 0) {
      this.#held(first.name, lateMs, 'something after an await');
      return;
    }
    const names = suspects.slice(0, MAX_SUSPECTS).map(({ name }) => name);
    const more = suspects.length > MAX_SUSPECTS ? ` and ${suspects.length - MAX_SUSPECTS} more` : '';
    this.#warnings.warn(
      `the event loop was blocked for ${lateMs.toFixed(0)} ms, after an await of one of these plugins: ${names.join(', ')}${more} (loopWarningMs)`,
    );
  }

  #held(name: string, ms: number, what: string): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.held++;
    plugin.warnings.warn(
      `${name} blocked the event loop for ${ms.toFixed(0)} ms in ${what}, so nothing else could run (loopWarningMs); split long work, or run the plugin in a process of its own`,
    );
  }
}

function machineCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
