/** The connection of a client command: decides whether the relay may receive the admin token, calls it, and explains failures. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { RemoteFault, XmlRpcClient } from '../client/internal.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { findRelay } from './find-relay.ts';
import type { FoundRelay } from './find-relay.ts';
import { RelayHttp } from './relay-http.ts';
import { socketOf } from './target.ts';
import type { TargetFlags } from './target.ts';

/** Calls a method of the server. */
export type Call = (method: string, ...params: readonly Sendable[]) => Promise<Value>;

// `co2 call` may print larger responses than a relay accepts from its peers.
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;
// A larger file cannot be a token.
const MAX_TOKEN_BYTES = 64 * 1024;

/**
 * Runs `work` with a connection to the relay that the flags select. Rejects with a RemoteFault, a RelayError TRANSPORT, or CONFIG_INVALID
 * for an invalid flag or configuration.
 */
export async function withRelay<T>(flags: TargetFlags, work: (call: Call, url: URL, http: RelayHttp) => Promise<T>): Promise<T> {
  const relay = await findRelay(flags);
  const timeoutMs = Math.ceil(flags.timeout * 1000);
  const { credential, remedy, url = new URL(relay.url) } = await credentialFor(relay, givenToken(flags), timeoutMs);
  // The URL of a socket cannot contain credentials.
  const isSocket = socketOf(url) !== undefined;
  if (credential !== undefined && !isSocket) {
    url.username = 'token';
    url.password = encodeURIComponent(credential);
  }
  // The HTTP parser is WebAssembly, which V8 would optimize in the background: that takes longer than most commands, and 30 MB.
  setFlagsFromString('--liftoff-only');
  const client = new XmlRpcClient(url, {
    token: isSocket ? credential : undefined,
    timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
    send: { nil: true, i8: true },
  });
  try {
    const call: Call = (method, ...params) => client.call(method, params).catch((error: unknown) => explain(error, remedy));
    return await work(call, relay.url, new RelayHttp(url, isSocket ? credential : undefined, timeoutMs));
  } catch (error) {
    throw explainConnectionError(relay, error);
  } finally {
    await client.close();
  }
}

/** Reads the token from `--token`, `--token-file` or the environment. */
function givenToken({ token, tokenFile }: TargetFlags): string | undefined {
  if (token !== undefined && tokenFile !== undefined)
    throw new RelayError('CONFIG_INVALID', '--token and --token-file both give a token; use one of them');
  if (token !== undefined) return token;
  if (tokenFile !== undefined) return readToken(tokenFile, '--token-file');
  const { CO2_TOKEN: variable = '', CO2_TOKEN_FILE: file = '' } = process.env;
  if (variable !== '') return variable;
  return file === '' ? undefined : readToken(file, 'CO2_TOKEN_FILE');
}

function readToken(path: string, source: string): string {
  try {
    const bytes = readFileSync(path);
    const token = bytes.length > MAX_TOKEN_BYTES ? '' : bytes.toString('utf8').trim();
    if (/^[\x21-\x7e]{1,4096}$/.test(token)) return token;
  } catch (error) {
    throw new RelayError('CONFIG_INVALID', `${source}: cannot read ${clean(path)}: ${clean(reasonOf(error))}`, { cause: error });
  }
  throw new RelayError('CONFIG_INVALID', `${source}: ${clean(path)} does not contain a token: visible ASCII characters on one line`);
}

// The remedy that a relay names to programs.
const LISTS_METHODS = /co2\.get_method_names lists them all$/;

/** Rethrows the error; adds a remedy to a fault. */
function explain(error: unknown, remedy: Credential['remedy']): never {
  if (!RemoteFault.is(error)) throw error;
  const text = error.text.replace(LISTS_METHODS, 'co2 methods lists them all');
  throw new RemoteFault(error.code, text + (remedy[error.code] ?? ''), error.faultCode);
}

interface Credential {
  readonly credential?: string;
  /** Text to append to faults, by code. */
  readonly remedy: Readonly<Record<number, string>>;
  /** The exact URL to call, if it differs from the requested one. */
  readonly url?: URL;
}

/**
 * The admin token grants everything, so it is only sent on this machine and only to the relay of its state directory. Rejects with a
 * RelayError TRANSPORT if the flags select that relay and something else listens there.
 */
async function credentialFor({ url, dataDir, as }: FoundRelay, token: string | undefined, timeoutMs: number): Promise<Credential> {
  if (token !== undefined) return { credential: token, remedy: {} };
  if (as === 'runs') {
    const credential = tokenIn(dataDir);
    return credential === undefined ? { remedy: noToken(dataDir) } : { credential, remedy: {} };
  }
  const { isListening, isLocalUrl, relayAt } = await import('./relay-owner.ts');
  if (url.username !== '' || url.password !== '' || !isLocalUrl(url)) return { remedy: {} };
  const credential = tokenIn(dataDir);
  if (credential === undefined) return { remedy: noToken(dataDir) };
  const found = await relayAt(url, dataDir, timeoutMs);
  if ('url' in found) return { credential, url: found.url, remedy: { 401: '; does --data name the state directory of another relay?' } };
  // Nothing listens there that could receive the token; the call itself will fail.
  if (!(await isListening(url))) return { remedy: {} };
  const reason = `the admin token of ${dataDir} was not sent: ${found.problem}`;
  if (as === 'configured') throw new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: ${reason}`);
  process.stderr.write(`co2: ${clean(reason, Infinity)}\n`);
  return { remedy: {} };
}

function noToken(dataDir: string): Credential['remedy'] {
  const remedy = `; no admin.token in ${dataDir}; set the relay's state directory with --data`;
  return { 401: remedy, 403: remedy };
}

function tokenIn(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, 'admin.token'), 'utf8').trim() || undefined;
  } catch {
    // Calls without a token may be allowed; otherwise the relay rejects them.
    return undefined;
  }
}

/** Explains common connection errors, such as a relay that is not running. */
function explainConnectionError({ url, as }: FoundRelay, error: unknown): unknown {
  const cause = RelayError.is(error) ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  // Some HTTPS servers close a plain HTTP connection without a response.
  if (url.protocol === 'http:' && (cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET'))
    return new RelayError('TRANSPORT', `${reasonOf(error)}; if it is an HTTPS server, use https:// in the URL`, { cause: error });
  if (cause?.code !== 'ECONNREFUSED') return error;
  const isHere = as === 'configured' || /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname);
  const start = isHere ? ' (co2 start)' : '';
  return new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: connection refused; is the relay running?${start}`, { cause: error });
}
