/** What every client command has: the flags that name its relay, the credential for it, and one call. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { RelayError, clean, reasonOf } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { RemoteFault, XmlRpcClient } from '../client/internal.ts';
import { findRelay, isHere, socketOf } from './find-relay.ts';
import type { FoundRelay, PlaceFlags } from './find-relay.ts';
import { isAnswered, relayAt } from './relay-at.ts';

/** The flags that every client command has. */
export interface TargetFlags extends PlaceFlags {
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

export type Call = (method: string, ...params: readonly Sendable[]) => Promise<Value>;

// What `co2 call` may print is larger than what a relay is answered.
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export function addTargetOptions(command: Command): Command {
  return command
    .option(
      '--url <url>',
      'the relay; http+unix:/path/of.socket for its unix socket (default: where that of the configuration listens, http://127.0.0.1:2004)',
    )
    .option('--token <token>', "credential (default: that of --data's admin.token, sent only to the relay that has it)")
    .option('--data <dir>', 'state directory of the relay, where admin.token lies (default: that of the configuration, .co2)')
    .option('--config <file>', 'configuration file of the relay (default: config.ts, if it is there)')
    .option('--timeout <seconds>', 'how long to wait for the relay', seconds, 60)
    .option('--json', 'print exact JSON: dates in ISO 8601, bytes as {"base64": "..."}');
}

/** Lets `work` call the relay that the flags name. Rejects with a RemoteFault, a RelayError TRANSPORT, or CONFIG_INVALID for a wrong flag or configuration. */
export async function withRelay<T>(flags: TargetFlags, work: (call: Call, url: URL) => Promise<T>): Promise<T> {
  const relay = await findRelay(flags);
  const timeoutMs = Math.ceil(flags.timeout * 1000);
  const { credential, remedy, url = new URL(relay.url) } = await credentialFor(relay, flags.token, timeoutMs);
  // The URL of a socket has no place for it.
  const isSocket = socketOf(url) !== undefined;
  if (credential !== undefined && !isSocket) {
    url.username = 'token';
    url.password = encodeURIComponent(credential);
  }
  const client = new XmlRpcClient(url, {
    token: isSocket ? credential : undefined,
    timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
    send: { nil: true, i8: true },
  });
  try {
    return await work((method, ...params) => client.call(method, params).catch((error: unknown) => explain(error, remedy)), relay.url);
  } catch (error) {
    throw refused(relay.url, error);
  } finally {
    await client.close();
  }
}

/** Throws it on; a fault with what can be done about it. */
function explain(error: unknown, remedy: Credential['remedy']): never {
  if (!RemoteFault.is(error)) throw error;
  throw new RemoteFault(error.code, error.text + (remedy[error.code] ?? ''), error.faultCode);
}

interface Credential {
  readonly credential?: string;
  /** What a fault of this code is explained with. */
  readonly remedy: Readonly<Record<number, string>>;
  /** Where to call, if that is more exact than what was asked for. */
  readonly url?: URL;
}

/**
 * The admin token of a state directory may everything, so it never leaves this machine by itself, and goes to the relay of that directory alone. Rejects with a RelayError
 * TRANSPORT if that relay is meant and something else answers in its place.
 */
async function credentialFor(
  { url, dataDir, isOfDirectory }: FoundRelay,
  token: string | undefined,
  timeoutMs: number,
): Promise<Credential> {
  if (token !== undefined) return { credential: token, remedy: {} };
  if (url.username !== '' || url.password !== '' || !isHere(url)) return { remedy: {} };
  const credential = tokenIn(dataDir);
  if (credential === undefined) {
    const remedy = `; no admin.token in ${dataDir}; name the relay's state directory with --data`;
    return { remedy: { 401: remedy, 403: remedy } };
  }
  const found = await relayAt(url, dataDir, timeoutMs);
  if ('url' in found) return { credential, url: found.url, remedy: { 401: "; is --data another relay's state directory?" } };
  // Nobody can be given a token there; the call says so in its own words.
  if (!(await isAnswered(url))) return { remedy: {} };
  const reason = `the admin token of ${dataDir} was not sent: ${found.problem}`;
  if (isOfDirectory) throw new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: ${reason}`);
  process.stderr.write(`co2: ${clean(reason, Infinity)}\n`);
  return { remedy: {} };
}

function tokenIn(dataDir: string): string | undefined {
  try {
    return readFileSync(join(dataDir, 'admin.token'), 'utf8').trim() || undefined;
  } catch {
    // Without it whoever may call does so; who may not is told by the relay.
    return undefined;
  }
}

/** Nobody listens there: a person forgets to start the relay more often than anything else. */
function refused(url: URL, error: unknown): unknown {
  const cause = RelayError.is(error) ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  // An HTTPS server that cannot answer in plain text just closes the connection.
  if (url.protocol === 'http:' && (cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET'))
    return new RelayError('TRANSPORT', `${reasonOf(error)}; if it is an HTTPS server, use https:// in the URL`, { cause: error });
  if (cause?.code !== 'ECONNREFUSED') return error;
  const start = isHere(url) ? ' (co2 start)' : '';
  return new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: connection refused; is the relay running?${start}`, { cause: error });
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400.');
}
