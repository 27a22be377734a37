/** The waiting line of one satellite: bounded in messages and in size; the oldest make room for the newest. */
import type { Log, Message } from '../message/message.ts';
import { Fifo } from './fifo.ts';
import type { InboxOptions } from './options.ts';

export class Inbox {
  readonly #options: InboxOptions;
  readonly #name: string;
  readonly #log: Log;
  readonly #waiting = new Fifo<Message>();
  #bytes = 0;
  #dropped = 0;
  #floodDropped = 0;

  constructor(name: string, options: InboxOptions, log: Log) {
    this.#name = name;
    this.#options = options;
    this.#log = log;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Messages that were lost because the line was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Appends a message; a message larger than the whole line is taken when nothing else waits. */
  push(message: Message): void {
    const { maxMessages, maxBytes } = this.#options;
    const size = message.source.length;
    while (this.size > 0 && (this.size >= maxMessages || this.#bytes + size > maxBytes)) this.#drop();
    this.#waiting.push(message);
    this.#bytes += size;
  }

  shift(): Message | undefined {
    const message = this.#waiting.shift();
    if (message) this.#bytes -= message.source.length;
    if (this.size === 0) this.#endFlood();
    return message;
  }

  /** Forgets what waits; returns how many that were. */
  clear(): number {
    const { size } = this;
    this.#waiting.clear();
    this.#bytes = 0;
    this.#endFlood();
    return size;
  }

  #drop(): void {
    const oldest = this.#waiting.shift();
    this.#bytes -= oldest?.source.length ?? 0;
    this.#dropped++;
    if (this.#floodDropped++ === 0) {
      const { maxMessages, maxBytes } = this.#options;
      this.#log.warn(`the waiting line of ${this.#name} is full (${maxMessages} messages or ${maxBytes} bytes): the oldest are dropped`);
    }
  }

  /** One line per flood, not per message: a flood ends when nothing waits. */
  #endFlood(): void {
    if (this.#floodDropped === 0) return;
    this.#log.warn(`the waiting line of ${this.#name} is empty again; ${this.#floodDropped} messages were dropped`);
    this.#floodDropped = 0;
  }
}
