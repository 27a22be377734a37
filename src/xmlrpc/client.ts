/** An XML-RPC client for one server: one kept-alive connection, every wait and every answer bounded. */
import type { Client, Dispatcher } from 'undici';
import { RelayError, clean, reasonOf } from '../message/message.ts';
import type { Sendable, Value } from '../message/message.ts';
import { parseResponse } from './parse.ts';
import type { ParsedResponse } from './parse.ts';
import { serialiseCall } from './serialise.ts';

export interface XmlRpcClientOptions {
  /** Local address that connections leave from. Default: the system chooses. */
  readonly localAddress?: string | undefined;
  /** ms to connect, from then to the end of the headers, and from there to the end of the answer. Default 10,000: a server that is slower counts as down. */
  readonly timeoutMs?: number | undefined;
  /** Bytes of an answer. Default 1 MiB: an answer to `notify` is 120 bytes; what is larger is an attack or a mistake. */
  readonly maxResponseBytes?: number | undefined;
}

/** A fault that the server answered. */
export class RemoteFault extends Error {
  override readonly name = 'RemoteFault';

  constructor(
    readonly code: number,
    text: string,
  ) {
    super(text);
  }
}

const DEFAULT_TIMEOUT_MS = 10_000;
const DEFAULT_MAX_RESPONSE_BYTES = 1024 * 1024;

/** One connection to one server; calls made at once wait for each other. Redirects are not followed. */
export class XmlRpcClient {
  readonly #options: Client.Options;
  readonly #timeoutMs: number;
  readonly #origin: string;
  readonly #path: string;
  readonly #name: string;
  readonly #headers: Record<string, string>;
  #client: Promise<Client> | undefined;

  /** `url` may carry credentials (Basic); a path of `/` means `/RPC2`. */
  constructor(url: URL, options: XmlRpcClientOptions = {}) {
    const timeout = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#timeoutMs = timeout;
    this.#options = {
      pipelining: 1,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      maxResponseSize: options.maxResponseBytes ?? DEFAULT_MAX_RESPONSE_BYTES,
      connect: { timeout },
      ...(options.localAddress === undefined ? {} : { localAddress: options.localAddress }),
    };
    this.#origin = url.origin;
    this.#path = url.pathname === '/' ? `/RPC2${url.search}` : url.pathname + url.search;
    this.#name = url.host;
    this.#headers = { 'content-type': 'text/xml; charset=utf-8', accept: 'text/xml', 'user-agent': 'co2-relay', ...authorization(url) };
  }

  /** Calls `method`. Throws a {@link RemoteFault}, or a RelayError TIMEOUT or TRANSPORT if no answer came. */
  async call(method: string, params: readonly Sendable[] = []): Promise<Value> {
    const answer = await this.post(serialiseCall(method, params));
    if (answer.kind === 'fault') throw new RemoteFault(answer.code, answer.text);
    return answer.value;
  }

  /** Posts a written call. Throws a RelayError: LIMIT if the server finds the call too large, TIMEOUT if it took the call and did not answer in time, else TRANSPORT. */
  async post(body: Uint8Array): Promise<ParsedResponse> {
    const { status, type, bytes } = await this.#exchange(body);
    if (status !== 200) {
      throw new RelayError(status === 413 ? 'LIMIT' : 'TRANSPORT', `${this.#name} answered HTTP ${status}${firstLine(type, bytes)}`);
    }
    if (!/^(text|application)\/xml\s*(;|$)/i.test(type)) {
      throw new RelayError('TRANSPORT', `${this.#name} answered no XML; is it an XML-RPC server?`);
    }
    try {
      return parseResponse(bytes, { charset: charsetOf(type) });
    } catch (error) {
      throw new RelayError('TRANSPORT', `${this.#name} answered something that is not XML-RPC: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** Ends the connection now; a call in flight fails. */
  async close(): Promise<void> {
    const client = await this.#client;
    await client?.destroy();
  }

  /** The library costs some 15 MB: a relay without peers never loads it. */
  async #open(): Promise<Client> {
    const undici = await import('undici');
    return new undici.Client(this.#origin, this.#options);
  }

  /** The whole body; the time between two bytes is bounded by the client already, but a server may drip. */
  async #whole(body: Dispatcher.ResponseData['body']): Promise<Uint8Array> {
    const cut = setTimeout(() => {
      body.destroy(Object.assign(new Error('the answer did not end in time'), { code: 'UND_ERR_BODY_TIMEOUT' }));
    }, this.#timeoutMs);
    try {
      return new Uint8Array(await body.arrayBuffer());
    } finally {
      clearTimeout(cut);
    }
  }

  async #exchange(body: Uint8Array): Promise<{ status: number; type: string; bytes: Uint8Array }> {
    try {
      this.#client ??= this.#open();
      const client = await this.#client;
      const answer = await client.request({ method: 'POST', path: this.#path, headers: this.#headers, body });
      const bytes = await this.#whole(answer.body);
      return { status: answer.statusCode, type: String(answer.headers['content-type'] ?? ''), bytes };
    } catch (error) {
      throw new RelayError(TIMEOUTS.has(codeOf(error) ?? '') ? 'TIMEOUT' : 'TRANSPORT', `${this.#name}: ${connectReason(error)}`, {
        cause: error,
      });
    }
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused; is the server running?',
  ENOTFOUND: 'the name cannot be resolved',
  EAI_AGAIN: 'the name cannot be resolved',
  UND_ERR_CONNECT_TIMEOUT: 'no connection in time',
  UND_ERR_HEADERS_TIMEOUT: 'no answer in time',
  UND_ERR_BODY_TIMEOUT: 'the answer stopped coming',
  UND_ERR_RES_EXCEEDED_MAX_SIZE: 'the answer is too large',
};

/** No answer in time, of a server that had the whole request. */
const TIMEOUTS: ReadonlySet<string> = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT']);
/** There was no connection, so no server has got anything. */
const NOT_SENT: ReadonlySet<string> = new Set([
  ...['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT'],
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** False if what {@link XmlRpcClient.post} rejected with says that the request never left. */
export function mayHaveArrived(error: unknown): boolean {
  const code = RelayError.is(error) ? codeOf(error.cause) : undefined;
  return code !== undefined && !NOT_SENT.has(code);
}

function connectReason(error: unknown): string {
  return REASONS[codeOf(error) ?? ''] ?? reasonOf(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? (error as NodeJS.ErrnoException).code : undefined;
}

/** `: why` from an answer below XML-RPC, if the server says it as text. */
function firstLine(type: string, bytes: Uint8Array): string {
  if (!type.startsWith('text/plain')) return '';
  const [line = ''] = Buffer.from(bytes.subarray(0, 300)).toString('utf8').split('\n', 1);
  return line === '' ? '' : `: ${clean(line)}`;
}

function authorization(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

function charsetOf(contentType: string): string | undefined {
  return /;\s*charset\s*=\s*"?([\w.:-]{1,40})"?/i.exec(contentType)?.[1];
}
