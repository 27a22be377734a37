/** Calls a program that is an XML-RPC server on this machine. */
import { RelayError, withinLimit } from '../../message/message.ts';
import type { Clock, Value } from '../../message/message.ts';
import { XmlRpcClient } from '../../xmlrpc/xmlrpc.ts';
import { MAX_CALLS, faultOf, requestOf } from './transport.ts';
import type { ProgramRequest, Transport, TransportCallOptions } from './transport.ts';

// Several, for servers with threads; one that has a single thread is called over one as long as its calls come one by one.
const CONNECTIONS = 8;
// Short: a server with one thread may serve nobody else as long as a connection is open.
const KEEP_ALIVE_MS = 1_000;
// The limits of the calls are shorter.
const MAX_MS = 86_400_000;

const PING = requestOf('ping', []);

export class HttpTransport implements Transport {
  readonly #client: XmlRpcClient;

  /** `port` and `path` as its handshake says; it is only ever called on this machine, and no redirect is followed. */
  constructor(
    private readonly plugin: string,
    private readonly clock: Clock,
    { port, path }: { readonly port: number; readonly path: string },
  ) {
    this.#client = new XmlRpcClient(`http://127.0.0.1:${port}${path}`, {
      maxConnections: CONNECTIONS,
      maxPendingCalls: MAX_CALLS,
      keepAliveMs: KEEP_ALIVE_MS,
      timeoutMs: MAX_MS,
    });
  }

  async send({ method, body }: ProgramRequest, { timeoutMs, signal }: TransportCallOptions): Promise<Value> {
    const end = new AbortController();
    const onAbort = (): void => {
      end.abort(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    const late = `${method} was not answered in ${timeoutMs} ms`;
    try {
      signal?.throwIfAborted();
      const answer = await withinLimit(this.clock, timeoutMs, late, () => this.#client.post(body(), { signal: end.signal }));
      if (answer.kind === 'fault') throw faultOf(this.plugin, answer.code, answer.text);
      return answer.value;
    } finally {
      end.abort(new RelayError('TIMEOUT', late));
      signal?.removeEventListener('abort', onAbort);
    }
  }

  async ping(timeoutMs: number): Promise<void> {
    await this.send(PING, { timeoutMs }).catch((error: unknown) => {
      // A fault is a sign of life, too.
      if (RelayError.is(error) && (error.code === 'TIMEOUT' || error.code === 'TRANSPORT' || error.code === 'RATE_LIMITED')) throw error;
    });
  }

  async close(): Promise<void> {
    await this.#client.close();
  }
}
