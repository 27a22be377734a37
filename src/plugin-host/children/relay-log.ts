/** The log of a child: its lines go to the relay's, in order, and never hold anybody up. */
import { format } from 'node:util';
import type { Log } from '../../core/core.ts';
import type { RelayClient } from './relay-client.ts';

type Level = 'debug' | 'info' | 'warn' | 'error';

// Lines that wait for the relay; protects the child's memory from its own talk.
const MAX_WAITING = 1_000;
// Characters; stacks are shorter.
const MAX_LINE = 8_000;

export class RelayLog implements Log {
  readonly #waiting: (readonly [Level, string])[] = [];
  #leftOut = 0;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly client: Pick<RelayClient, 'call'>,
    private readonly isDebug: boolean,
  ) {}

  debug(text: string, ...more: unknown[]): void {
    if (this.isDebug) this.#tell('debug', text, more);
  }

  info(text: string, ...more: unknown[]): void {
    this.#tell('info', text, more);
  }

  warn(text: string, ...more: unknown[]): void {
    this.#tell('warn', text, more);
  }

  error(text: string, ...more: unknown[]): void {
    this.#tell('error', text, more);
  }

  isDebugEnabled(): boolean {
    return this.isDebug;
  }

  isInfoEnabled(): boolean {
    return true;
  }

  /** Resolves when what was written so far has got there, or cannot. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  #tell(level: Level, text: string, more: readonly unknown[]): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#leftOut++;
      return;
    }
    this.#waiting.push([level, (more.length === 0 ? text : format(text, ...more)).slice(0, MAX_LINE)]);
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      // Nobody is there to tell that nobody is there.
      await this.client.call('relay.log', line).catch(() => undefined);
      if (this.#waiting.length === 0 && this.#leftOut > 0) {
        this.#waiting.push(['warn', `… and ${this.#leftOut} more lines, faster than the relay took them`]);
        this.#leftOut = 0;
      }
    }
    this.#sending = undefined;
  }
}
