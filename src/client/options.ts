/** The options of a client, as given and as completed, and the URL of its server. */
import { RelayError } from '../core/core.ts';
import { showValue } from '../values/values.ts';
import { DEFAULT_LIMITS, completeLimits } from '../xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits, WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** TLS certificates, in PEM. */
export interface ClientTlsOptions {
  /** Trusted authorities. Default: those of Node. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  /** The client's own certificate, for servers that request one, and its key. Default: none. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** False accepts any server: for tests only. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** The name that the server's certificate must have. Default: the host in the URL. */
  readonly servername?: string | undefined;
}

/** All are optional; an explicit `undefined` means the default. */
export interface ClientOptions {
  /** Sent as `Authorization: Bearer`, instead of the user and password in the URL, which are sent as Basic. Default: none. */
  readonly token?: string | undefined;
  /** A function is called for each new connection, so that renewed certificates are used. Default: none. */
  readonly tls?: ClientTlsOptions | (() => ClientTlsOptions) | undefined;
  /** Path of a unix socket to connect to instead of the host in the URL. Default: none. */
  readonly socketPath?: string | undefined;
  /**
   * Resolves the host in the URL to its addresses, for each new connection; IP addresses are not looked up. Default: the system's resolver.
   */
  readonly lookup?: ((hostname: string) => Promise<readonly string[]>) | undefined;
  /** Local address of the connections. Default: chosen by the system. */
  readonly localAddress?: string | undefined;
  /** ms, the default of the next three timeouts. Default 10,000: a slower server counts as down. */
  readonly timeoutMs?: number | undefined;
  /** ms to connect, including TLS. */
  readonly connectTimeoutMs?: number | undefined;
  /** ms from the request to the end of the response headers. */
  readonly headersTimeoutMs?: number | undefined;
  /** ms from the end of the headers to the end of the response. */
  readonly bodyTimeoutMs?: number | undefined;
  /** ms for a whole call, including the wait for a connection. Default: the sum of the three. */
  readonly totalTimeoutMs?: number | undefined;
  /**
   * Maximum number of connections, which are kept alive between calls; further calls wait. Default 1: calls arrive in order, and a long
   * poll delays the calls behind it. With more, there is no order.
   */
  readonly maxConnections?: number | undefined;
  /**
   * Maximum number of pending calls; more are rejected with RATE_LIMITED. Default 1,000: protects this program's memory from a slow server.
   */
  readonly maxPendingCalls?: number | undefined;
  /** ms that an idle connection is kept. Default 4,000: less than on most servers, so that no closing connection is used. */
  readonly keepAliveMs?: number | undefined;
  /** Bytes of a response. Default 8 MiB, like the limit of relays for requests. */
  readonly maxResponseBytes?: number | undefined;
  /** Bytes of the response headers. Default 16 KiB, as in Node's servers. */
  readonly maxHeaderBytes?: number | undefined;
  /** Limits on the content of a response; `maxBodyBytes` is `maxResponseBytes`. Default: those of the relay for requests. */
  readonly limits?: Partial<Omit<XmlRpcLimits, 'maxBodyBytes'>> | undefined;
  /**
   * How responses are read. `lenient` accepts faults of any shape, scalars whose text does not match their type (an integer out of range
   * becomes a number, or a bigint beyond 2^53; anything else its text, such as the date `00000000T00:00:00`), and responses without a
   * Content-Type. `strict` rejects these with TRANSPORT. Both reject XML that is not well-formed, XML that is not XML-RPC, and anything
   * beyond a limit. Default `lenient`.
   */
  readonly answers?: 'lenient' | 'strict' | undefined;
  /** The extensions that the server reads, and how values are written for it. Default: what every server reads. */
  readonly send?: WriteOptions | undefined;
}

/** The completed options. */
export interface CompleteClientOptions {
  readonly token: string | undefined;
  readonly tls: () => ClientTlsOptions;
  readonly socketPath: string | undefined;
  readonly lookup: ((hostname: string) => Promise<readonly string[]>) | undefined;
  readonly localAddress: string | undefined;
  readonly connectTimeoutMs: number;
  readonly headersTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly totalTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxPendingCalls: number;
  readonly keepAliveMs: number;
  readonly maxHeaderBytes: number;
  /** `maxBodyBytes` limits a response. */
  readonly limits: Readonly<XmlRpcLimits>;
  readonly answers: 'lenient' | 'strict';
  readonly send: WriteOptions;
}

// The longest delay of Node's timers.
const MAX_MS = 2 ** 31 - 1;
// Visible ASCII: nothing else is allowed in the header.
const TOKEN = /^[!-~]{1,4096}$/;

/** Checks and completes options. Throws a RelayError CONFIG_INVALID that names the option. */
export function completeClientOptions(options: ClientOptions): CompleteClientOptions {
  const whole = (name: keyof ClientOptions, fallback: number, max = Number.MAX_SAFE_INTEGER): number => {
    const value = options[name] ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
    throw new RelayError('CONFIG_INVALID', `${name}: found ${showValue(value)}, expected a whole number from 1 to ${max}`, {
      data: { option: name },
    });
  };
  if (options.token !== undefined && !TOKEN.test(options.token))
    throw new RelayError('CONFIG_INVALID', 'token: expected 1 to 4096 visible ASCII characters without spaces', {
      data: { option: 'token' },
    });
  const tls = typeof options.tls === 'object' ? options.tls : {};
  const timeoutMs = whole('timeoutMs', 10_000, MAX_MS);
  const connectTimeoutMs = whole('connectTimeoutMs', timeoutMs, MAX_MS);
  const headersTimeoutMs = whole('headersTimeoutMs', timeoutMs, MAX_MS);
  const bodyTimeoutMs = whole('bodyTimeoutMs', timeoutMs, MAX_MS);
  return {
    token: options.token,
    tls: typeof options.tls === 'function' ? options.tls : () => tls,
    socketPath: options.socketPath,
    lookup: options.lookup,
    localAddress: options.localAddress,
    connectTimeoutMs,
    headersTimeoutMs,
    bodyTimeoutMs,
    totalTimeoutMs: whole('totalTimeoutMs', Math.min(connectTimeoutMs + headersTimeoutMs + bodyTimeoutMs, MAX_MS), MAX_MS),
    maxConnections: whole('maxConnections', 1, 10_000),
    maxPendingCalls: whole('maxPendingCalls', 1000),
    keepAliveMs: whole('keepAliveMs', 4000, MAX_MS),
    maxHeaderBytes: whole('maxHeaderBytes', 16 * 1024),
    limits: completeLimits({ ...options.limits, maxBodyBytes: whole('maxResponseBytes', DEFAULT_LIMITS.maxBodyBytes) }),
    answers: answersOf(options),
    send: options.send ?? {},
  };
}

function answersOf({ answers = 'lenient' }: ClientOptions): 'lenient' | 'strict' {
  if (['lenient', 'strict'].includes(answers)) return answers;
  throw new RelayError('CONFIG_INVALID', `answers: found ${showValue(answers)}, expected 'lenient' or 'strict'`, {
    data: { option: 'answers' },
  });
}

export interface ServerUrl {
  /** `http://host:port`, also for the Host header. */
  readonly origin: string;
  /** Path and query. */
  readonly path: string;
  /** The name for errors and logs, without credentials. */
  readonly name: string;
  /** The socket of an `http+unix:` URL. */
  readonly socketPath: string | undefined;
  /** `Basic …` if the URL has a user or a password. */
  readonly authorization: string | undefined;
}

const EXPECTED = 'expected http://host:port/path, https://… or http+unix:/path/of.socket';

/**
 * Reads a URL; the path `/` means `/RPC2`. A unix socket is `http+unix:/run/co2.sock` or, with a path,
 * `http+unix://%2Frun%2Fco2.sock/RPC2`. Throws a RelayError CONFIG_INVALID that does not quote the URL, which may contain a password.
 */
export function readServerUrl(text: string | URL): ServerUrl {
  const url = URL.canParse(String(text)) ? new URL(String(text)) : undefined;
  if (url?.protocol === 'http+unix:') return unixUrl(url);
  if (url?.protocol !== 'http:' && url?.protocol !== 'https:') throw new RelayError('CONFIG_INVALID', `the URL of the server: ${EXPECTED}`);
  return {
    origin: url.origin,
    path: pathOf(url.pathname, url.search),
    name: url.host,
    socketPath: undefined,
    authorization: basic(url),
  };
}

function unixUrl(url: URL): ServerUrl {
  const socketPath = decoded(url.host === '' ? url.pathname : url.host);
  if (!socketPath.startsWith('/')) throw new RelayError('CONFIG_INVALID', `the path of the unix socket: ${EXPECTED}`);
  return {
    origin: 'http://localhost',
    path: pathOf(url.host === '' ? '/' : url.pathname, url.search),
    name: socketPath,
    socketPath,
    authorization: basic(url),
  };
}

function pathOf(pathname: string, search: string): string {
  return (pathname === '/' || pathname === '' ? '/RPC2' : pathname) + search;
}

function basic({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new RelayError('CONFIG_INVALID', 'the URL of the server: invalid percent-encoding; write %25 for a percent sign');
  }
}
