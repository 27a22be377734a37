/** The options of a client: what a caller gives, and what they are once checked and filled. */
import { RelayError } from '../core/core.ts';
import { DEFAULT_LIMITS, completeLimits } from '../xmlrpc/xmlrpc.ts';
import type { XmlRpcLimits, WriteOptions } from '../xmlrpc/xmlrpc.ts';

/** Certificates of a connection over TLS; texts or buffers in PEM. */
export interface ClientTlsOptions {
  /** The authorities that are believed. Default: those that Node brings. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined;
  /** The client's own certificate, for servers that ask for one, and its key. Default: none. */
  readonly cert?: string | Buffer | undefined;
  readonly key?: string | Buffer | undefined;
  /** False talks to whoever answers: for tests alone. Default true. */
  readonly rejectUnauthorized?: boolean | undefined;
  /** The name that the server's certificate must have. Default: the host in the URL. */
  readonly servername?: string | undefined;
}

/** All may be left out; an explicit `undefined` means the default. */
export interface ClientOptions {
  /** Sent as `Authorization: Bearer`, instead of what the URL says. A user and a password in the URL are sent as Basic. Default: none. */
  readonly token?: string | undefined;
  readonly tls?: ClientTlsOptions | undefined;
  /** Path of a unix socket to connect to, whatever host the URL names. Default: none. */
  readonly socketPath?: string | undefined;
  /**
   * Answers the addresses of the host in the URL, for each new connection; one that is written as an address is not looked up. Default: the
   * system's resolver.
   */
  readonly lookup?: ((hostname: string) => Promise<readonly string[]>) | undefined;
  /** Local address that connections leave from. Default: the system chooses. */
  readonly localAddress?: string | undefined;
  /** ms, the default of the three time-outs below. Default 10,000: a server that is slower counts as down. */
  readonly timeoutMs?: number | undefined;
  /** ms to connect, TLS included. */
  readonly connectTimeoutMs?: number | undefined;
  /** ms from the request to the end of the answer's headers. */
  readonly headersTimeoutMs?: number | undefined;
  /** ms from the end of the headers to the end of the answer. */
  readonly bodyTimeoutMs?: number | undefined;
  /** ms for a whole call, the wait for a connection included. Default: the three together. */
  readonly totalTimeoutMs?: number | undefined;
  /**
   * Connections at once, kept alive between calls; further calls wait for one. Default 1: calls arrive in the order in which they are made,
   * and a long poll holds
   * up those behind it. With more there is no order.
   */
  readonly maxConnections?: number | undefined;
  /**
   * Calls that run or wait at once; more are refused with RATE_LIMITED. Default 1,000: protects this program's memory from a server that is
   * slow.
   */
  readonly maxPendingCalls?: number | undefined;
  /** ms that an idle connection is kept. Default 4,000: less than servers keep theirs, so none is used that is about to close. */
  readonly keepAliveMs?: number | undefined;
  /** Bytes of an answer. Default 8 MiB: the largest that relays take as well. */
  readonly maxResponseBytes?: number | undefined;
  /** Bytes of an answer's headers. Default 16 KiB, as Node's servers have it. */
  readonly maxHeaderBytes?: number | undefined;
  /** Bounds on what is inside an answer; `maxBodyBytes` is `maxResponseBytes`. Default: those of the relay's own door. */
  readonly limits?: Partial<Omit<XmlRpcLimits, 'maxBodyBytes'>> | undefined;
  /**
   * How answers are read. `lenient`: of a fault the text counts, whatever else is in it, and a scalar that is none of its type does not
   * spoil the answer: an integer beyond its bits is a
   * number, or a bigint beyond 2^53, any other is its text (`00000000T00:00:00` as a date); without a Content-Type the body is looked at.
   * `strict`: such an answer is
   * refused with TRANSPORT. XML that is not well-formed or not XML-RPC, and what is over a limit, is refused by both. Default `lenient`.
   */
  readonly answers?: 'lenient' | 'strict' | undefined;
  /** What the server reads of the extensions, and how values are written for it. Default: what every server reads. */
  readonly send?: WriteOptions | undefined;
}

/** Options as a client works with them. */
export interface CompleteClientOptions {
  readonly token: string | undefined;
  readonly tls: ClientTlsOptions;
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
  /** `maxBodyBytes` bounds an answer. */
  readonly limits: Readonly<XmlRpcLimits>;
  readonly answers: 'lenient' | 'strict';
  readonly send: WriteOptions;
}

// The longest wait that a timer of Node counts.
const MAX_MS = 2 ** 31 - 1;
// Visible ASCII: nothing else can stand in a header.
const TOKEN = /^[!-~]{1,4096}$/;

/** Checks and fills. Throws a RelayError CONFIG_INVALID that names the option. */
export function completeClientOptions(options: ClientOptions): CompleteClientOptions {
  const whole = (name: keyof ClientOptions, fallback: number, max = Number.MAX_SAFE_INTEGER): number => {
    const value = options[name] ?? fallback;
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 && value <= max) return value;
    throw new RelayError('CONFIG_INVALID', `${name}: found ${shown(value)}, expected a whole number from 1 to ${max}`);
  };
  if (options.token !== undefined && !TOKEN.test(options.token))
    throw new RelayError('CONFIG_INVALID', 'token: a token is made of 1 to 4096 visible ASCII characters, without blanks');
  const timeoutMs = whole('timeoutMs', 10_000, MAX_MS);
  const connectTimeoutMs = whole('connectTimeoutMs', timeoutMs, MAX_MS);
  const headersTimeoutMs = whole('headersTimeoutMs', timeoutMs, MAX_MS);
  const bodyTimeoutMs = whole('bodyTimeoutMs', timeoutMs, MAX_MS);
  return {
    token: options.token,
    tls: options.tls ?? {},
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
  throw new RelayError('CONFIG_INVALID', `answers: found ${shown(answers)}, expected 'lenient' or 'strict'`);
}

function shown(value: unknown): string {
  return typeof value === 'number' ? String(value) : `a ${typeof value}`;
}
