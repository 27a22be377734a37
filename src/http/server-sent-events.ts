/** Responses of server-sent events, for `EventSource` of browsers and for curl. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RelayError, clean } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import { streamed } from './streamed-bodies.ts';
import type { StreamedResponses } from './streamed-bodies.ts';

/** An event. */
export interface ServerSentEvent {
  readonly type: string;
  /** From where to go on after it; undefined if that did not change. */
  readonly id: string | undefined;
  /** One line. */
  readonly data: string;
}

// Proxies close a connection without traffic after a minute or more.
const KEEP_ALIVE_MS = 15_000;
/** For responses that change all the time, and may hold anything. */
export const HEADERS = { 'x-content-type-options': 'nosniff', 'cache-control': 'no-store' };

/** Sends events as they come; the signal is aborted when the client is gone or the server stops. */
export function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  parts: StreamedResponses & { readonly clock: Clock },
  events: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): FastifyReply {
  reply.headers({ ...HEADERS, 'x-accel-buffering': 'no' }).type('text/event-stream; charset=utf-8');
  const pieces = (signal: AbortSignal): AsyncIterable<Buffer> => withKeepAlive(events(signal), parts.clock);
  return reply.send(streamed(request, reply.raw, parts, request.method === 'HEAD' ? nothing : pieces));
}

async function* nothing(): AsyncGenerator<Buffer, void> {
  // The head says everything.
}

const COMMENT = Buffer.from(':\n\n');

/** Events in their format on the wire, and a comment whenever nothing happens for a while. */
async function* withKeepAlive(events: AsyncIterable<ServerSentEvent>, clock: Clock): AsyncGenerator<Buffer, void> {
  const iterator = events[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = iterator.next();
      let event: Awaited<typeof next> | undefined;
      while ((event = await within(next, clock)) === undefined) yield COMMENT;
      if (event.done === true) return;
      const { type, id, data } = event.value;
      yield Buffer.from(`event: ${type}\n${id === undefined ? '' : `id: ${id}\n`}data: ${data}\n\n`);
    }
  } finally {
    // It ends by its signal; what it awaits is not waited for here.
    iterator.return?.().catch(() => undefined);
  }
}

/** What the promise resolves to; undefined if that takes too long. */
async function within<T>(promise: Promise<T>, clock: Clock): Promise<T | undefined> {
  let cancel = (): void => undefined;
  const late = new Promise<undefined>((resolve) => {
    cancel = clock.after(KEEP_ALIVE_MS, () => {
      resolve(undefined);
    });
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    cancel();
  }
}

/** The parameters of the query, each at most once. */
export function queryOf<Name extends string>({ url }: FastifyRequest, known: readonly Name[]): Readonly<Partial<Record<Name, string>>> {
  const [, query = ''] = url.split('?', 2);
  const values: Partial<Record<Name, string>> = {};
  for (const [key, value] of new URLSearchParams(query)) {
    const name = known.find((one) => one === key);
    if (name === undefined)
      throw new RelayError('INVALID_REQUEST', `the query has no parameter '${clean(key, 40)}'; it may have ${known.join(' and ')}`);
    if (values[name] !== undefined) throw new RelayError('INVALID_REQUEST', `the query has two parameters ${name}; send one`);
    values[name] = value;
  }
  return values;
}
