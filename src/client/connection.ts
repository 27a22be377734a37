/** HTTP: a bounded pool of persistent connections to one server, and exchanges with limits on every wait and size. */
import { EventEmitter, setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { LookupFunction, Socket } from 'node:net';
import type { Dispatcher, Pool } from 'undici';
import { RelayError, clean, parseMediaType } from '../core/core.ts';
import { connectionError, isAnswerTooLong, retryAfterMs, withAnswerHead } from './errors.ts';
import type { AnswerHead } from './errors.ts';
import { skipContinue } from './interim-responses.ts';
import { httpPool } from './http-pool.ts';
import type { ClientTlsOptions, CompleteClientOptions, ServerUrl } from './options.ts';

/** A response with status 200 whose media type may be XML-RPC, or missing. */
export interface HttpResponse {
  readonly bytes: Uint8Array;
  readonly charset: string | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

/** How one request is sent. */
export interface PostOptions {
  /** Aborts the request, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Headers besides those of every request. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

const XML: ReadonlySet<string> = new Set(['text/xml', 'application/xml']);

/** One request and what happens while it is under way. */
interface Attempt {
  readonly body: Uint8Array;
  readonly headers: PostOptions['headers'];
  readonly end: Ending;
  readonly onHead: (answer: Dispatcher.ResponseData) => void;
}

/** Ends an exchange before its time, as the `signal` of undici: an AbortController costs ten times as much, for each call. */
class Ending extends EventEmitter<{ abort: [] }> {
  aborted = false;
  /** Undefined if the caller aborted the exchange, and knows why. */
  reason: RelayError | undefined;

  abort(reason?: RelayError): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.emit('abort');
  }
}

/** The connections to one server. */
export class Connection {
  readonly #server: ServerUrl;
  readonly #options: CompleteClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #secrets: readonly string[];
  // The socket of the newest connection, for what its TLS derives.
  #socket: Socket | undefined;
  #pool: Promise<Pool> | undefined;
  #pending = 0;
  #isClosed = false;

  constructor(server: ServerUrl, options: CompleteClientOptions) {
    this.#server = server;
    this.#options = options;
    const authorization = options.token === undefined ? server.authorization : `Bearer ${options.token}`;
    this.#secrets = secretsIn(authorization);
    this.#headers = {
      'content-type': 'text/xml; charset=utf-8',
      accept: 'text/xml',
      'user-agent': 'co2-relay',
      // What the reader of responses understands; servers other than relays ignore it.
      'accept-xmlrpc-extensions': 'nil, i8',
      ...(authorization === undefined ? {} : { authorization }),
    };
  }

  /**
   * Posts a body and returns the response. Throws a RelayError: LIMIT if the body is too large for the server, RATE_LIMITED if too many
   * calls are pending, TIMEOUT if the server was too slow, otherwise TRANSPORT; or the reason of an aborted signal.
   */
  async post(body: Uint8Array, { signal, headers }: PostOptions = {}): Promise<HttpResponse> {
    const { maxPendingCalls } = this.#options;
    signal?.throwIfAborted();
    if (this.#isClosed)
      throw new RelayError('TRANSPORT', `${this.#server.name}: the client is closed`, { data: { reason: 'client-closed' } });
    if (this.#pending >= maxPendingCalls) {
      throw new RelayError('RATE_LIMITED', `${this.#server.name}: ${maxPendingCalls} calls are already pending (maxPendingCalls)`, {
        data: { option: 'maxPendingCalls' },
      });
    }
    this.#pending++;
    try {
      return await this.#bounded(body, signal, headers);
    } finally {
      this.#pending--;
    }
  }

  /** The TLS socket of the newest connection; undefined if there is none, or it is a plain one. */
  get tlsSocket(): TLSSocket | undefined {
    return this.#socket instanceof TLSSocket && !this.#socket.destroyed ? this.#socket : undefined;
  }

  /** Removes our credentials from a text that quotes the server. */
  withoutSecrets(text: string): string {
    return this.#secrets.reduce((left, secret) => left.replaceAll(secret, '…'), text);
  }

  /** Closes all connections now; calls in flight fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const pool = await this.#pool?.catch(() => undefined);
    await pool?.destroy();
  }

  /**
   * Runs one exchange within its time and until the signal is aborted. Needed because undici ignores signals before there is a connection.
   */
  async #bounded(body: Uint8Array, signal: AbortSignal | undefined, headers: PostOptions['headers']): Promise<HttpResponse> {
    const { totalTimeoutMs } = this.#options;
    const end = new Ending();
    const onAbort = (): void => {
      end.abort();
    };
    // Any number of calls may share one signal.
    if (signal) setMaxListeners(0, signal);
    signal?.addEventListener('abort', onAbort, { once: true });
    let head: Omit<AnswerHead, 'isWhole'> | undefined;
    const onHead = ({ statusCode, headers }: Dispatcher.ResponseData): void => {
      head = { status: statusCode, retryAfterMs: retryAfterMs(headers['retry-after'], Date.now()) };
    };
    const timer = setTimeout(() => {
      end.abort(this.#late('totalTimeoutMs', `no complete response within ${totalTimeoutMs} ms`));
    }, totalTimeoutMs);
    try {
      return await new Promise((resolve, reject) => {
        end.once('abort', () => {
          reject(new Error('the call was aborted'));
        });
        this.#exchange({ body, headers, end, onHead }).then(resolve, reject);
      });
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const isWhole = !end.aborted && (RelayError.is(error) || isAnswerTooLong(error));
      throw withAnswerHead(this.#failureOf(error, end), head && { ...head, isWhole });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #failureOf(error: unknown, { reason }: Ending): RelayError {
    if (reason) return reason;
    return RelayError.is(error) ? error : connectionError(this.#server.name, error);
  }

  async #exchange({ body, headers: more, end, onHead }: Attempt): Promise<HttpResponse> {
    const pool = await (this.#pool ??= this.#open());
    const headers = more === undefined ? this.#headers : { ...this.#headers, ...more };
    const request = { method: 'POST', path: this.#server.path, headers, body, signal: end } as const;
    const answer = await (await httpPool()).request(pool, request);
    onHead(answer);
    // The pool limits the time between two bytes, but a server may send one byte at a time.
    const { bodyTimeoutMs } = this.#options;
    const timer = setTimeout(() => {
      end.abort(this.#late('bodyTimeoutMs', `the response did not end within ${bodyTimeoutMs} ms`));
    }, bodyTimeoutMs);
    try {
      return await this.#checked(answer);
    } catch (error) {
      // The rest of the body is not read.
      answer.body.on('error', () => undefined).destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Reads the body if the head allows XML-RPC; otherwise only the first line of a text. */
  async #checked({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<HttpResponse> {
    const contentType = String(headers['content-type'] ?? '');
    const media = parseMediaType(contentType);
    const encoding = String(headers['content-encoding'] ?? 'identity');
    const { name } = this.#server;
    if (statusCode !== 200) {
      const said = media?.type === 'text/plain' ? firstLine(new Uint8Array(await body.arrayBuffer())) : '';
      throw new RelayError(statusCode === 413 ? 'LIMIT' : 'TRANSPORT', `${name} answered HTTP ${statusCode}${this.withoutSecrets(said)}`, {
        data: { reason: 'http-status', status: statusCode },
      });
    }
    // Some servers send no Content-Type.
    const mayBeXml = media ? XML.has(media.type) : this.#options.answers === 'lenient' && contentType.trim() === '';
    if (!mayBeXml) {
      throw new RelayError('TRANSPORT', `${name} did not answer with XML; is it an XML-RPC server?`, { data: { reason: 'content-type' } });
    }
    if (encoding.toLowerCase() !== 'identity') {
      throw new RelayError('TRANSPORT', `${name} answered with Content-Encoding '${clean(encoding, 40)}', which was not requested`, {
        data: { reason: 'content-encoding' },
      });
    }
    return {
      bytes: new Uint8Array(await body.arrayBuffer()),
      charset: media?.parameters.find(([parameter]) => parameter === 'charset')?.[1],
      headers,
    };
  }

  async #open(): Promise<Pool> {
    const { Pool, buildConnector } = await httpPool();
    const { localAddress, lookup, tls, connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs, ...options } = this.#options;
    const socketPath = options.socketPath ?? this.#server.socketPath;
    const connectorFor = (certificates: ClientTlsOptions): ReturnType<typeof buildConnector> =>
      buildConnector({
        ...(certificates as object),
        timeout: connectTimeoutMs,
        ...(socketPath === undefined ? {} : { socketPath }),
        ...(lookup === undefined ? {} : { lookup: lookupBy(lookup) }),
      });
    // A connector remembers TLS sessions, so there is one for each set of certificates.
    let certificates = tls();
    let connect = connectorFor(certificates);
    return new Pool(this.#server.origin, {
      pipelining: 1,
      connections: options.maxConnections,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
      maxResponseSize: options.limits.maxBodyBytes,
      maxHeaderSize: options.maxHeaderBytes,
      keepAliveTimeout: options.keepAliveMs,
      // Servers cannot prolong it.
      keepAliveMaxTimeout: options.keepAliveMs,
      connect: (target, callback) => {
        const current = tls();
        if (current !== certificates) [certificates, connect] = [current, connectorFor(current)];
        connect(target, (...[error, socket]) => {
          if (error) callback(error, null);
          else {
            this.#socket = socket;
            callback(null, skipContinue(socket));
          }
        });
      },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
  }

  #late(option: keyof CompleteClientOptions, what: string): RelayError {
    return new RelayError('TIMEOUT', `${this.#server.name}: ${what} (${option})`, { data: { option } });
  }
}

/** Adapts `resolve` to the lookup function of Node's sockets. */
function lookupBy(resolve: (hostname: string) => Promise<readonly string[]>): LookupFunction {
  return (hostname, { all }, callback) => {
    resolve(hostname).then(
      (addresses) => {
        const [first] = addresses;
        if (first === undefined) callback(Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }), '', 0);
        else if (all === true)
          callback(
            null,
            addresses.map((address) => ({ address, family: isIP(address) })),
          );
        else callback(null, first, isIP(first));
      },
      (error: unknown) => {
        callback(error instanceof Error ? error : new Error(String(error)), '', 0);
      },
    );
  };
}

/** Texts that must not be logged: the credential as it is sent, and the password in it. */
function secretsIn(authorization: string | undefined): string[] {
  const [scheme, value = ''] = authorization?.split(' ', 2) ?? [];
  const pair = scheme === 'Basic' ? Buffer.from(value, 'base64').toString('utf8') : '';
  const password = pair.slice(pair.indexOf(':') + 1);
  return [value, pair, password].filter((secret) => secret !== '');
}

/** `: reason` from the body of an HTTP error. */
function firstLine(bytes: Uint8Array): string {
  const [line = ''] = Buffer.from(bytes.subarray(0, 300)).toString('utf8').split('\n', 1);
  return line === '' ? '' : `: ${clean(line)}`;
}
