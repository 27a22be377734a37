/** The relay that a client command talks to: its URL, the credential for it, and one call. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import { RelayError, canonicalAddress, isLoopback } from '../message/message.ts';
import type { Sendable, Value } from '../message/message.ts';
import { RemoteFault, XmlRpcClient } from '../xmlrpc/xmlrpc.ts';

/** The flags that every client command has. */
export interface TargetFlags {
  readonly url: string;
  readonly token?: string;
  readonly data?: string;
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

export type Call = (method: string, ...params: readonly Sendable[]) => Promise<Value>;

// What `co2 call` may print is larger than what a relay is answered.
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export function addTargetOptions(command: Command): Command {
  return command
    .option('--url <url>', 'the relay', 'http://127.0.0.1:2004')
    .option('--token <token>', "credential (default: that of --data's admin.token, sent to this machine only)")
    .option('--data <dir>', 'state directory of the relay, where admin.token lies (default: $CO2_DATA_DIR, else .co2)')
    .option('--timeout <seconds>', 'how long to wait for the relay', seconds, 60)
    .option('--json', 'print exact JSON: dates in ISO 8601, bytes as {"base64": "..."}');
}

/** Lets `work` call the relay that the flags name. Rejects with a RemoteFault, a RelayError TRANSPORT, or CONFIG_INVALID for a wrong flag. */
export async function withRelay<T>(flags: TargetFlags, work: (call: Call) => Promise<T>): Promise<T> {
  const url = urlOf(flags.url);
  const ownToken = flags.token ?? (url.username === '' && url.password === '' ? tokenOnDisk(url, flags.data) : undefined);
  if (ownToken !== undefined) {
    url.username = 'token';
    url.password = encodeURIComponent(ownToken);
  }
  const client = new XmlRpcClient(url, {
    timeoutMs: Math.ceil(flags.timeout * 1000),
    maxResponseBytes: MAX_RESPONSE_BYTES,
    send: { nil: true, i8: true },
  });
  const isOnDisk = flags.token === undefined && ownToken !== undefined;
  try {
    return await work((method, ...params) => client.call(method, params).catch((error: unknown) => explain(error, isOnDisk)));
  } finally {
    await client.close();
  }
}

/** Throws it on, with a hint where the token that we found by ourselves is wrong. */
function explain(error: unknown, isTokenOnDisk: boolean): never {
  if (!isTokenOnDisk || !RemoteFault.is(error) || error.code !== 401) throw error;
  throw new RemoteFault(error.code, `${error.text}; is --data another relay's state directory?`);
}

function urlOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new RelayError('CONFIG_INVALID', `--url: found '${text}', expected a URL like http://127.0.0.1:2004`);
}

/** The admin token of a state directory may everything, so it never leaves this machine by itself. */
function tokenOnDisk(url: URL, dataDir = process.env.CO2_DATA_DIR): string | undefined {
  const address = url.hostname === 'localhost' ? '127.0.0.1' : canonicalAddress(url.hostname);
  if (address === undefined || !isLoopback(address)) return undefined;
  const file = join(resolve(dataDir ?? '.co2'), 'admin.token');
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    // Without it whoever may call does so; who may not is told by the relay.
    return undefined;
  }
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400.');
}
