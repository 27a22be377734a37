/** Tells satellites what became of the messages that they sent, one report at a time for each plugin. */
import { Fifo, RateLimitedLog, RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { DeliveryReport } from '../plugin/internal.ts';
import type { PluginRegistry } from './hosted/hosted.ts';

interface Waiting {
  readonly satellite: string;
  readonly report: DeliveryReport;
}

// Reports that wait for one plugin. Protects memory when a satellite is slower than the loss of what it sent.
const MAX_WAITING = 10_000;
// A plugin that is being restarted gets them afterwards.
const AGAIN_MS = 1_000;

/** See the head of this file. */
export class DeliveryReports {
  readonly #registry: PluginRegistry;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #warnings: RateLimitedLog;
  /** What came before the plugins were known. */
  readonly #early: Waiting[] = [];
  readonly #waiting = new Map<string, Fifo<Waiting>>();
  readonly #cancels = new Set<() => void>();
  #state: 'starting' | 'running' | 'stopped' = 'starting';

  constructor(registry: PluginRegistry, clock: Clock, log: Log) {
    this.#registry = registry;
    this.#clock = clock;
    this.#log = log;
    this.#warnings = new RateLimitedLog(log, clock);
  }

  /** The plugins are there: what has come is reported. */
  start(): void {
    if (this.#state !== 'starting') return;
    this.#state = 'running';
    for (const { satellite, report } of this.#early.splice(0)) this.add(satellite, report);
  }

  stop(): void {
    this.#state = 'stopped';
    for (const cancel of this.#cancels) cancel();
  }

  /** Reports to the satellite of this name, which may be a program, once it runs. */
  add(satellite: string, report: DeliveryReport): void {
    if (this.#state === 'starting' && this.#early.length < MAX_WAITING) this.#early.push({ satellite, report });
    if (this.#state !== 'running') return;
    const plugin = this.#registry.has(satellite) ? satellite : satellite.slice(0, Math.max(0, satellite.lastIndexOf('.')));
    const isFirst = !this.#waiting.has(plugin);
    const waiting = this.#waiting.get(plugin) ?? new Fifo<Waiting>();
    this.#waiting.set(plugin, waiting);
    if (waiting.length >= MAX_WAITING) {
      waiting.shift();
      this.#warnings.warn(`${clean(plugin)}: more than ${MAX_WAITING} reports about its messages wait; the oldest are dropped`);
    }
    waiting.push({ satellite, report });
    if (isFirst) void this.#report(plugin);
  }

  /** Reports what waits for a plugin. Never rejects. */
  async #report(name: string): Promise<void> {
    const waiting = this.#waiting.get(name);
    for (let next = waiting?.shift(); next; next = waiting?.shift()) {
      const { satellite, report } = next;
      while (this.#registry.has(name) && !(await this.#reported(name, satellite, report))) if (this.#state === 'stopped') return;
    }
    this.#waiting.delete(name);
  }

  /** False if the plugin is not running now, after a pause. */
  async #reported(name: string, satellite: string, report: DeliveryReport): Promise<boolean> {
    const plugin = this.#registry.find(name);
    try {
      await plugin.reportDelivery(satellite, report);
    } catch (error) {
      const { type } = plugin.status.state;
      if (RelayError.is(error) && error.code === 'UNAVAILABLE' && type !== 'stopped' && type !== 'failed') {
        await this.#pause();
        return false;
      }
      this.#log.error(`${clean(satellite)}: onDelivery failed for ${clean(report.id)}: ${clean(reasonOf(error), 500)}`);
    }
    return true;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(AGAIN_MS, () => {
        this.#cancels.delete(cancel);
        resolve();
      });
      this.#cancels.add(cancel);
    });
  }
}
