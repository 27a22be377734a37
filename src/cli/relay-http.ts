/** Sends and receives plain bytes over the HTTP server of a relay, for what is too large for a call. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import type { ClientRequest, IncomingMessage, OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';
import { RemoteFault, connectionError, readServerUrl } from '../client/internal.ts';
import { RelayError, clean, withTimeout, systemClock } from '../core/core.ts';
import { readJson } from '../json/json.ts';
import { isDict } from '../values/values.ts';
import type { Value } from '../values/values.ts';

// What a server says in answer to a request without a body, or why it refused one.
const MAX_ANSWER_BYTES = 1024 * 1024;
// A server that does not say whether it wants the body gets it then.
const CONTINUE_MS = 2_000;
const KEEP_ALIVE_MS = 30_000;

/** The HTTP server of one relay. Methods reject with a RemoteFault if the relay refuses, and with a RelayError TRANSPORT or TIMEOUT. */
export class RelayHttp {
  readonly #server: ReturnType<typeof readServerUrl>;
  readonly #authorization: string | undefined;

  /** `url` is that of the calls, which may contain credentials; `token` is used instead of them. */
  constructor(
    url: URL,
    token: string | undefined,
    private readonly timeoutMs: number,
  ) {
    this.#server = readServerUrl(url);
    this.#authorization = token === undefined ? this.#server.authorization : `Bearer ${token}`;
  }

  /** Sends a body as it is read, once the relay wants it. Resolves to the answer, which is JSON. */
  async put(path: string, body: AsyncIterable<Buffer>, bytes: number | undefined): Promise<Value> {
    const length = bytes === undefined ? { 'transfer-encoding': 'chunked' } : { 'content-length': bytes };
    return this.#explained(async () => {
      const request = this.#request('PUT', path, { ...length, 'content-type': 'application/octet-stream', expect: '100-continue' });
      const answered = once(request, 'response') as Promise<[IncomingMessage]>;
      request.flushHeaders();
      const isWanted = await Promise.race([
        once(request, 'continue').then(() => true),
        answered.then(() => false),
        new Promise<true>((resolve) => setTimeout(resolve, CONTINUE_MS, true).unref()),
      ]);
      // A relay that refuses in the middle answers and closes the connection; the answer says more.
      const sent = isWanted ? pipeline(body, request) : Promise.resolve();
      const [answer] = await Promise.race([answered, sent.then(() => this.#inTime(answered))]).catch((error: unknown) =>
        withTimeout(systemClock, CONTINUE_MS, '', () => answered).catch(() => Promise.reject(asError(error))),
      );
      sent.catch(() => undefined);
      if (!isWanted) request.destroy();
      return readJson(await wholeOf(answer)).value;
    });
  }

  /** Writes a body to `out`, which stays open. Resolves at its end. */
  async get(path: string, out: NodeJS.WritableStream): Promise<void> {
    await this.#explained(async () => {
      const request = this.#request('GET', path, {});
      request.end();
      const [answer] = await this.#inTime(once(request, 'response') as Promise<[IncomingMessage]>);
      if (answer.statusCode !== 200) await wholeOf(answer);
      for await (const chunk of answer as AsyncIterable<Buffer>) if (!out.write(chunk)) await once(out, 'drain');
    });
  }

  #request(method: string, path: string, headers: OutgoingHttpHeaders): ClientRequest {
    const { origin, socketPath, path: callPath } = this.#server;
    const url = new URL(origin);
    const make = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = make({
      ...{ method, path: callPath.replace(/\/RPC2$/, '') + path, socketPath, agent: false },
      ...{ protocol: url.protocol, hostname: url.hostname.replace(/^\[|\]$/g, ''), port: url.port },
      headers: { ...headers, 'user-agent': 'co2-relay', ...(this.#authorization !== undefined && { authorization: this.#authorization }) },
    });
    request.setSocketKeepAlive(true, KEEP_ALIVE_MS);
    // Awaited promises reject with it; it may also come when nothing is awaited any more.
    request.on('error', () => undefined);
    return request;
  }

  #inTime<T>(answer: Promise<T>): Promise<T> {
    return withTimeout(systemClock, this.timeoutMs, `${this.#server.name}: no response within ${this.timeoutMs} ms`, () => answer);
  }

  async #explained<T>(exchange: () => Promise<T>): Promise<T> {
    try {
      return await exchange();
    } catch (error) {
      throw RelayError.is(error) || RemoteFault.is(error) ? error : connectionError(this.#server.name, error);
    }
  }
}

/** The body of an answer with status 200. Rejects with a RemoteFault for any other. */
async function wholeOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) throw new RelayError('TRANSPORT', `the response is larger than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const { statusCode = 0, headers } = answer;
  if (statusCode === 200) return body;
  const problem = headers['content-type']?.startsWith('application/problem+json') === true ? readJson(body).value : undefined;
  if (isDict(problem) && typeof problem.detail === 'string' && typeof problem.code === 'number')
    throw new RemoteFault(problem.code, problem.detail);
  throw new RelayError('TRANSPORT', `the server answered HTTP ${statusCode}: ${clean(body.toString().split('\n', 1)[0] ?? '', 300)}`);
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
