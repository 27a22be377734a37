/** HTTP below the calls: a bounded pool of kept-alive connections to one server, and one exchange with every wait and size bounded. */
import { setMaxListeners } from 'node:events';
import { isIP } from 'node:net';
import type { LookupFunction } from 'node:net';
import type { Dispatcher, Pool } from 'undici';
import { RelayError, clean } from '../core/core.ts';
import { skipContinue } from './interim-answers.ts';
import type { CompleteClientOptions } from './options.ts';
import { connectionError, isAnswerTooLong, retryAfterMs, withAnswerHead } from './reasons.ts';
import type { AnswerHead } from './reasons.ts';
import type { ServerUrl } from './server-url.ts';

/** An answer with status 200, of a type that may be XML-RPC, or of none. */
export interface HttpAnswer {
  readonly bytes: Uint8Array;
  readonly charset: string | undefined;
}

const XML = /^(?:text|application)\/xml[ \t]*(?:;|$)/i;
// One parameter of a media type, its value in quotes or not.
const PARAMETER = /[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64})=(?:"([^"\\]{0,300})"|([!#$%&'*+.^_`|~0-9A-Za-z:-]{0,64}))/y;

export class Connection {
  readonly #server: ServerUrl;
  readonly #options: CompleteClientOptions;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #secrets: readonly string[];
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
      ...(authorization === undefined ? {} : { authorization }),
    };
  }

  /**
   * Posts a body and answers what came back. Throws a RelayError: LIMIT if the server finds the body too large, RATE_LIMITED if too many
   * calls wait
   * here, TIMEOUT if the server was too slow, else TRANSPORT; and the signal's reason if that is aborted.
   */
  async post(body: Uint8Array, signal?: AbortSignal): Promise<HttpAnswer> {
    const { maxPendingCalls } = this.#options;
    signal?.throwIfAborted();
    if (this.#isClosed) throw new RelayError('TRANSPORT', `${this.#server.name}: the client is closed`);
    if (this.#pending >= maxPendingCalls) {
      throw new RelayError('RATE_LIMITED', `${this.#server.name}: ${maxPendingCalls} calls run or wait already (maxPendingCalls)`);
    }
    this.#pending++;
    try {
      return await this.#bounded(body, signal);
    } finally {
      this.#pending--;
    }
  }

  /** A text that quotes the server, which may quote our credentials. */
  withoutSecrets(text: string): string {
    return this.#secrets.reduce((left, secret) => left.replaceAll(secret, '…'), text);
  }

  /** Ends all connections now; calls in flight fail. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const pool = await this.#pool?.catch(() => undefined);
    await pool?.destroy();
  }

  /**
   * One exchange that ends with its time, or with the caller's signal, wherever it is by then: undici looks at a signal only once there is
   * a connection.
   */
  async #bounded(body: Uint8Array, signal: AbortSignal | undefined): Promise<HttpAnswer> {
    const { totalTimeoutMs } = this.#options;
    const end = new AbortController();
    const onAbort = (): void => {
      end.abort();
    };
    // As many calls as there are may share one.
    if (signal) setMaxListeners(0, signal);
    signal?.addEventListener('abort', onAbort, { once: true });
    let head: Omit<AnswerHead, 'isWhole'> | undefined;
    const onHead = ({ statusCode, headers }: Dispatcher.ResponseData): void => {
      head = { status: statusCode, retryAfterMs: retryAfterMs(headers['retry-after'], Date.now()) };
    };
    const ended = new Promise<never>((_resolve, reject) => {
      end.signal.addEventListener('abort', () => {
        reject(new Error('the call was ended'));
      });
    });
    const timer = setTimeout(() => {
      end.abort(this.#late(`no whole answer in ${totalTimeoutMs} ms (totalTimeoutMs)`));
    }, totalTimeoutMs);
    try {
      return await Promise.race([this.#exchange(body, end, onHead), ended]);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const isWhole = !end.signal.aborted && (RelayError.is(error) || isAnswerTooLong(error));
      throw withAnswerHead(this.#failureOf(error, end.signal), head && { ...head, isWhole });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #failureOf(error: unknown, { reason }: AbortSignal): RelayError {
    if (RelayError.is(reason)) return reason;
    return RelayError.is(error) ? error : connectionError(this.#server.name, error);
  }

  async #exchange(body: Uint8Array, end: AbortController, onHead: (answer: Dispatcher.ResponseData) => void): Promise<HttpAnswer> {
    const { signal } = end;
    const pool = await (this.#pool ??= this.#open());
    const answer = await pool.request({ method: 'POST', path: this.#server.path, headers: this.#headers, body, signal });
    onHead(answer);
    // The time between two bytes is bounded by the pool already, but a server may drip.
    const { bodyTimeoutMs } = this.#options;
    const timer = setTimeout(() => {
      end.abort(this.#late(`the answer did not end in ${bodyTimeoutMs} ms (bodyTimeoutMs)`));
    }, bodyTimeoutMs);
    try {
      return await this.#checked(answer);
    } catch (error) {
      // What was not read is not waited for.
      answer.body.on('error', () => undefined).destroy();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The answer's body, if its head allows that it is XML-RPC; else nothing of it is read but the first line of a text. */
  async #checked({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<HttpAnswer> {
    const type = String(headers['content-type'] ?? '');
    const encoding = String(headers['content-encoding'] ?? 'identity');
    const { name } = this.#server;
    if (statusCode !== 200) {
      const said = type.startsWith('text/plain') ? firstLine(new Uint8Array(await body.arrayBuffer())) : '';
      throw new RelayError(statusCode === 413 ? 'LIMIT' : 'TRANSPORT', `${name} answered HTTP ${statusCode}${this.withoutSecrets(said)}`);
    }
    // Some servers name no type; what the body is will be seen.
    const mayBeXml = XML.test(type) || (this.#options.answers === 'lenient' && type.trim() === '');
    if (!mayBeXml) throw new RelayError('TRANSPORT', `${name} answered no XML; is it an XML-RPC server?`);
    if (encoding.toLowerCase() !== 'identity') {
      throw new RelayError('TRANSPORT', `${name} answered with Content-Encoding '${clean(encoding, 40)}', which was not asked for`);
    }
    return { bytes: new Uint8Array(await body.arrayBuffer()), charset: charsetOf(type) };
  }

  /** The library costs some 15 MB: a relay without peers never loads it. */
  async #open(): Promise<Pool> {
    const undici = await import('undici');
    const { localAddress, lookup, tls, connectTimeoutMs, headersTimeoutMs, bodyTimeoutMs, ...options } = this.#options;
    const socketPath = options.socketPath ?? this.#server.socketPath;
    const connect = undici.buildConnector({
      ...(tls as object),
      timeout: connectTimeoutMs,
      ...(socketPath === undefined ? {} : { socketPath }),
      ...(lookup === undefined ? {} : { lookup: lookupBy(lookup) }),
    });
    return new undici.Pool(this.#server.origin, {
      pipelining: 1,
      connections: options.maxConnections,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: bodyTimeoutMs,
      maxResponseSize: options.limits.maxBodyBytes,
      maxHeaderSize: options.maxHeaderBytes,
      keepAliveTimeout: options.keepAliveMs,
      // What a server says about it is no reason to keep one for longer.
      keepAliveMaxTimeout: options.keepAliveMs,
      connect: (target, callback) => {
        connect(target, (...[error, socket]) => {
          if (error) callback(error, null);
          else callback(null, skipContinue(socket));
        });
      },
      ...(localAddress === undefined ? {} : { localAddress }),
    });
  }

  #late(reason: string): RelayError {
    return new RelayError('TIMEOUT', `${this.#server.name}: ${reason}`);
  }
}

/** `resolve` as Node's sockets call it. */
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

/** What must not stand in a log: the credential as it is sent, and the password in it. */
function secretsIn(authorization: string | undefined): string[] {
  const [scheme, value = ''] = authorization?.split(' ', 2) ?? [];
  const pair = scheme === 'Basic' ? Buffer.from(value, 'base64').toString('utf8') : '';
  const password = pair.slice(pair.indexOf(':') + 1);
  return [value, pair, password].filter((secret) => secret !== '');
}

function charsetOf(type: string): string | undefined {
  PARAMETER.lastIndex = type.search(/;|$/);
  for (let found = PARAMETER.exec(type); found; found = PARAMETER.exec(type)) {
    if (found[1]?.toLowerCase() === 'charset') return found[2] ?? found[3];
  }
  return undefined;
}

/** `: why` from an answer below XML-RPC, if the server says it as text. */
function firstLine(bytes: Uint8Array): string {
  const [line = ''] = Buffer.from(bytes.subarray(0, 300)).toString('utf8').split('\n', 1);
  return line === '' ? '' : `: ${clean(line)}`;
}
