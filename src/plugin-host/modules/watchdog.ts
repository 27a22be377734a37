/**
 * Names the inline plugin that holds the event loop, in which nobody else is served meanwhile. What a plugin does before its first `await`
 * is measured and known for
 * certain. What it does after one is seen by a heartbeat that comes late; whoever was at work then is suspected. The heartbeat beats only
 * while somebody is.
 */
import { RateLimitedLog } from '../../core/core.ts';
import type { Clock, LogSource } from '../../core/core.ts';

/** A plugin, as the watchdog knows it; kept over its reloads. */
export interface Watched {
  readonly name: string;
  /** Times that it held the loop. */
  readonly held: number;
}

export interface WatchdogParts {
  /** ms that a plugin may hold the loop; Infinity: as long as it likes, and nothing is watched. */
  readonly limitMs: number;
  readonly clock: Clock;
  readonly logs: LogSource;
  /** ms of processor time that this process had so far: a process that waited for the machine held nothing up. */
  readonly cpuMs?: (() => number) | undefined;
}

interface Plugin extends Watched {
  held: number;
  /** What it works on that has not settled. */
  pending: number;
  lastEnd: number;
  readonly warnings: RateLimitedLog;
}

interface Beat {
  readonly from: number;
  readonly due: number;
  readonly cpuMs: number;
  readonly callOff: () => void;
}

// Five beats in the time that a plugin may take: what is held a fifth longer is never missed.
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
  // ms in which it is known who ran, since the last beat, and in the calls that the current call made.
  #knownMs = 0;
  #innerMs = 0;

  constructor(parts: WatchdogParts) {
    this.#parts = parts;
    this.#cpuMs = parts.cpuMs ?? machineCpuMs;
    this.#warnings = new RateLimitedLog(parts.logs('plugin-host'), parts.clock);
  }

  /** The same object whenever it is asked for. */
  of(name: string): Watched {
    const known = this.#plugins.get(name);
    if (known) return known;
    const { clock, logs } = this.#parts;
    const warnings = new RateLimitedLog(logs(`plugin.${name}`), clock);
    const plugin: Plugin = { name, held: 0, pending: 0, lastEnd: -Infinity, warnings };
    this.#plugins.set(name, plugin);
    return plugin;
  }

  /** Answers what `work` does, which is the plugin's; `what` names it for the log. A call of another plugin within counts for that. */
  run<T>({ name }: Watched, what: string, work: () => T): T {
    const { clock, limitMs } = this.#parts;
    const outerMs = this.#innerMs;
    this.#innerMs = 0;
    const since = clock.now();
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

  /** The plugin awaits something, and will go on by itself. Each begin has its {@link end}. */
  begin({ name }: Watched): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.pending++;
    this.#pending++;
    if (!this.#beat && this.#parts.limitMs < Infinity) this.#arm();
  }

  end({ name }: Watched): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.pending--;
    plugin.lastEnd = this.#parts.clock.now();
    this.#pending--;
  }

  stop(): void {
    this.#beat?.callOff();
    this.#beat = undefined;
  }

  #arm(): void {
    const { clock, limitMs } = this.#parts;
    const from = clock.now();
    const ms = Math.max(MIN_BEAT_MS, limitMs / BEATS);
    this.#knownMs = 0;
    this.#beat = {
      ...{ from, due: from + ms, cpuMs: this.#cpuMs() },
      callOff: clock.after(ms, () => {
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
      `the event loop was held for ${lateMs.toFixed(0)} ms, after an await of one of these plugins: ${names.join(', ')}${more} (loopWarningMs)`,
    );
  }

  #held(name: string, ms: number, what: string): void {
    const plugin = this.#plugins.get(name);
    if (!plugin) return;
    plugin.held++;
    plugin.warnings.warn(
      `${name} held the event loop for ${ms.toFixed(0)} ms in ${what}, and nobody else was served (loopWarningMs); let it do long work in pieces, or in a process of its own`,
    );
  }
}

function machineCpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
