/**
 * What a process offers besides its methods: work, datasources, controllers, watchers and reactors. It pushes what they yield to streams
 * of items.
 */
import { RelayError } from '../../core/core.ts';
import type { Frame, WorkResult } from '../../plugin/internal.ts';
import { Double, describeValue } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import { frameOf, isWorkResult } from '../hosted/hosted.ts';
import type { Offers, Readiness, WorkOrder } from '../hosted/hosted.ts';
import type { Description } from './description.ts';
import { programEndpoint } from './endpoints.ts';
import type { EndpointPort } from './endpoints.ts';

/** The process, as what it offers needs it. */
export interface OffersPort extends EndpointPort {
  readonly readiness: () => Readiness;
  /** Calls a method if the process is up, and ignores the answer. */
  readonly tell: (method: string, params: readonly Sendable[]) => void;
  /** Counts as a call in progress until the returned function is called. */
  readonly count: () => () => void;
}

/** The offers of this description, at the process behind the port. */
export function programOffers({ work, datasources, controllers, endpoints }: Pick<Description, keyof Offers>, port: OffersPort): Offers {
  return {
    work: work.map((one) => ({ ...one, isReady: port.isUp(), run: (order) => runWork(one.type, order, port) })),
    datasources: datasources.map((one) => ({
      ...{ ...one, readiness: port.readiness() },
      record: (signal) => record(one.name, signal, port),
    })),
    controllers: controllers.map((one) => ({
      ...{ ...one, readiness: port.readiness() },
      command: (frame, signal) => command(one.name, frame, signal, port),
    })),
    endpoints: endpoints.map((one) => programEndpoint(one, port)),
  };
}

async function* runWork(type: string, order: WorkOrder, port: OffersPort): AsyncGenerator<WorkResult, void, undefined> {
  const { unit, params, submitter, payload, signal } = order;
  const source = 'bytes' in payload ? { payload: payload.bytes } : { payload_path: payload.path };
  const begin: Begin = (stream) => ['plugin.execute', [type, { unit, stream, params, submitter, ...source }]];
  const end = port.count();
  try {
    for await (const item of pushed(begin, 'plugin.cancel', signal, port)) {
      if (!isWorkResult(item))
        throw new RelayError('APPLICATION', `${type}: it pushed ${describeValue(item)}, expected a struct, a string or base64`);
      yield item;
    }
  } finally {
    end();
  }
}

/** Not counted as a call: a recording has no end, and a process that records can answer pings. */
async function* record(name: string, signal: AbortSignal, port: OffersPort): AsyncGenerator<Frame, void, undefined> {
  const begin: Begin = (stream) => ['plugin.start_record', [name, { stream }]];
  for await (const item of pushed(begin, 'plugin.stop_record', signal, port)) yield frameOf(item, name, Date.now);
}

async function* command(
  name: string,
  { source, type, timestamp, payload }: Frame,
  signal: AbortSignal,
  port: OffersPort,
): AsyncGenerator<Frame, void, undefined> {
  const sent = { source, type, payload, timestamp: new Double(timestamp) };
  const begin: Begin = (stream) => ['plugin.command', [name, sent, { stream }]];
  const end = port.count();
  try {
    for await (const item of pushed(begin, 'plugin.cancel', signal, port)) yield frameOf(item, name, Date.now);
  } finally {
    end();
  }
}

/** The call that begins to push to a stream. */
type Begin = (stream: string) => readonly [method: string, params: readonly Sendable[]];

/**
 * The items that the process pushes to a new stream after it has accepted the call `begin`. When the iteration ends before the process has
 * ended the stream, the method `ending` is called. Throws as {@link ItemStream.items} does.
 */
async function* pushed(begin: Begin, ending: string, signal: AbortSignal, port: OffersPort): AsyncGenerator<Sendable, void, undefined> {
  const stream = port.streams.open();
  try {
    await port.call(...begin(stream.id));
    yield* stream.items(signal);
  } finally {
    port.streams.close(stream);
    // A process that has ended, or does not know the method, has nothing to end.
    if (!stream.isEnded) port.tell(ending, [stream.id]);
  }
}
