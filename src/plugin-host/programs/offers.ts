/** What a process offers besides methods: work, datasources and controllers, whose items it pushes to the relay. */
import { RelayError } from '../../core/core.ts';
import type { MaybePromise } from '../../core/core.ts';
import type { Frame, WorkResult } from '../../plugin/internal.ts';
import { Double, describeValue } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import { frameOf, isWorkResult } from '../hosted/hosted.ts';
import type { Offers, Readiness, WorkOrder } from '../hosted/hosted.ts';
import type { Description } from './description.ts';
import { ItemStream } from './item-streams.ts';
import type { ItemBatch } from './item-streams.ts';
import { requestOf } from './transport.ts';
import type { ProgramRequest } from './transport.ts';

export interface ProgramOffersParts {
  /** What the process described. */
  readonly description: () => Description | undefined;
  readonly readiness: () => Readiness;
  /** Calls the process. Throws, or rejects with, a RelayError UNAVAILABLE if it is down. */
  readonly invoke: (request: ProgramRequest) => MaybePromise<Sendable>;
  /** Called when something begins, and when it ends, for which a stop waits and during which the process may be too busy for a ping. */
  readonly onBegin: () => void;
  readonly onEnd: () => void;
}

export class ProgramOffers {
  /** Of the current process, by id. */
  readonly #streams = new Map<string, ItemStream>();

  constructor(private readonly parts: ProgramOffersParts) {}

  get all(): Offers {
    const { work = [], datasources = [], controllers = [] } = this.parts.description() ?? {};
    const readiness = this.parts.readiness();
    return {
      work: work.map((one) => ({
        ...one,
        isReady: readiness === 'ready',
        run: (order) => this.#counted(this.#runWork(one.type, order)),
      })),
      // Not counted: a recording has no end, and a process that records can answer pings.
      datasources: datasources.map((one) => ({ ...one, readiness, record: (signal) => this.#record(one.name, signal) })),
      controllers: controllers.map((one) => ({
        ...one,
        readiness,
        command: (frame, signal) => this.#counted(this.#command(one.name, frame, signal)),
      })),
    };
  }

  /** Takes items of a stream of the process; undefined if it has no such stream. As {@link ItemStream.push}. */
  pushItems(stream: string, batch: ItemBatch): Promise<boolean> | undefined {
    return this.#streams.get(stream)?.push(batch);
  }

  /** The process has ended. */
  fail(error: RelayError): void {
    for (const stream of this.#streams.values()) stream.fail(error);
    this.#streams.clear();
  }

  async *#runWork(type: string, order: WorkOrder): AsyncGenerator<WorkResult, void, undefined> {
    const { unit, params, submitter, payload, signal } = order;
    const source = 'bytes' in payload ? { payload: payload.bytes } : { payload_path: payload.path };
    const begin = (stream: string): ProgramRequest => requestOf('plugin.execute', [type, { unit, stream, params, submitter, ...source }]);
    for await (const item of this.#pushed(begin, 'plugin.cancel', signal)) {
      if (!isWorkResult(item))
        throw new RelayError('APPLICATION', `${type}: it pushed ${describeValue(item)}, expected a struct, a string or base64`);
      yield item;
    }
  }

  async *#record(name: string, signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const begin = (stream: string): ProgramRequest => requestOf('plugin.start_record', [name, { stream }]);
    for await (const item of this.#pushed(begin, 'plugin.stop_record', signal)) yield frameOf(item, name, Date.now);
  }

  async *#command(name: string, frame: Frame, signal: AbortSignal): AsyncGenerator<Frame, void, undefined> {
    const { source, type, timestamp, payload } = frame;
    const sent = { source, type, timestamp: new Double(timestamp), payload };
    const begin = (stream: string): ProgramRequest => requestOf('plugin.command', [name, sent, { stream }]);
    for await (const item of this.#pushed(begin, 'plugin.cancel', signal)) yield frameOf(item, name, Date.now);
  }

  /**
   * The items that the process pushes to a new stream after it has accepted the request `begin` for that. When the iteration ends before
   * the process has ended the stream, `ending` is called. Throws as {@link ItemStream.items} does.
   */
  async *#pushed(
    begin: (stream: string) => ProgramRequest,
    ending: 'plugin.cancel' | 'plugin.stop_record',
    signal: AbortSignal,
  ): AsyncGenerator<Sendable, void, undefined> {
    const { invoke, readiness } = this.parts;
    const stream = new ItemStream();
    this.#streams.set(stream.id, stream);
    try {
      await invoke(begin(stream.id));
      yield* stream.items(signal);
    } finally {
      this.#streams.delete(stream.id);
      stream.close();
      // A process that has ended, or does not know the method, has nothing to end.
      if (!stream.isEnded && readiness() === 'ready') void Promise.resolve(invoke(requestOf(ending, [stream.id]))).catch(() => undefined);
    }
  }

  async *#counted<Item>(items: AsyncIterable<Item>): AsyncGenerator<Item, void, undefined> {
    const { onBegin, onEnd } = this.parts;
    onBegin();
    try {
      yield* items;
    } finally {
      onEnd();
    }
  }
}
