/** The connection of a client command: finds the relay, decides whether it may receive the admin token, and calls it. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { Options } from '../config/config.ts';
import { canonicalAddress, hostPort, isLoopback, isUnspecified } from '../message/message.ts';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { Sendable, Value } from '../values/values.ts';
import { askLock } from '../state/state.ts';
import type { Listening } from '../state/state.ts';
import { RemoteFault, XmlRpcClient } from '../client/internal.ts';

/** The flags of every client command. */
export interface TargetFlags {
  readonly url?: string;
  readonly data?: string;
  readonly config?: string;
  readonly token?: string;
  readonly json?: boolean;
  /** Seconds. */
  readonly timeout: number;
}

/** Calls a method of the server. */
export type Call = (method: string, ...params: readonly Sendable[]) => Promise<Value>;

// `co2 call` may print larger responses than a relay accepts from its peers.
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Adds the flags to a command. */
export function addTargetOptions(command: Command): Command {
  return command
    .option(
      '--url <url>',
      'URL of the relay, or http+unix:/path/of.socket (default: where the configured relay listens, http://127.0.0.1:2004)',
    )
    .option('--token <token>', 'token (default: admin.token of the state directory, sent only to the relay that owns it)')
    .option('--data <dir>', 'state directory of the relay, with admin.token (default: from the configuration, .co2)')
    .option('--config <file>', 'configuration file of the relay (default: config.ts, if it exists)')
    .option('--timeout <seconds>', 'time limit of a call', seconds, 60)
    .option('--json', 'print exact JSON: dates in ISO 8601, bytes as {"base64": "..."}');
}

/**
 * Runs `work` with a connection to the relay that the flags select. Rejects with a RemoteFault, a RelayError TRANSPORT, or CONFIG_INVALID
 * for an invalid flag or configuration.
 */
export async function withRelay<T>(flags: TargetFlags, work: (call: Call, url: URL) => Promise<T>): Promise<T> {
  const relay = await findRelay(flags);
  const timeoutMs = Math.ceil(flags.timeout * 1000);
  const { credential, remedy, url = new URL(relay.url) } = await credentialFor(relay, flags.token, timeoutMs);
  // The URL of a socket cannot contain credentials.
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
    throw explainConnectionError(relay.url, error);
  } finally {
    await client.close();
  }
}

/** Rethrows the error; adds a remedy to a fault. */
function explain(error: unknown, remedy: Credential['remedy']): never {
  if (!RemoteFault.is(error)) throw error;
  throw new RemoteFault(error.code, error.text + (remedy[error.code] ?? ''), error.faultCode);
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
async function credentialFor(
  { url, dataDir, isOfDirectory }: FoundRelay,
  token: string | undefined,
  timeoutMs: number,
): Promise<Credential> {
  if (token !== undefined) return { credential: token, remedy: {} };
  if (url.username !== '' || url.password !== '' || !isLocalUrl(url)) return { remedy: {} };
  const credential = tokenIn(dataDir);
  if (credential === undefined) {
    const remedy = `; no admin.token in ${dataDir}; set the relay's state directory with --data`;
    return { remedy: { 401: remedy, 403: remedy } };
  }
  const found = await relayAt(url, dataDir, timeoutMs);
  if ('url' in found) return { credential, url: found.url, remedy: { 401: '; does --data name the state directory of another relay?' } };
  // Nothing can receive the token there; the call itself will fail.
  if (!(await isListening(url))) return { remedy: {} };
  const reason = `the admin token of ${dataDir} was not sent: ${found.problem}`;
  if (isOfDirectory) throw new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: ${reason}`);
  process.stderr.write(`co2: ${clean(reason, Infinity)}\n`);
  return { remedy: {} };
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
function explainConnectionError(url: URL, error: unknown): unknown {
  const cause = RelayError.is(error) ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  // Some HTTPS servers close a plain HTTP connection without a response.
  if (url.protocol === 'http:' && (cause?.code === 'UND_ERR_SOCKET' || cause?.code === 'ECONNRESET'))
    return new RelayError('TRANSPORT', `${reasonOf(error)}; if it is an HTTPS server, use https:// in the URL`, { cause: error });
  if (cause?.code !== 'ECONNREFUSED') return error;
  const start = isLocalUrl(url) ? ' (co2 start)' : '';
  return new RelayError('TRANSPORT', `${socketOf(url) ?? url.origin}: connection refused; is the relay running?${start}`, { cause: error });
}

function seconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= 86_400) return value;
  throw new InvalidArgumentError('expected seconds, more than 0 and at most 86400.');
}

const UNIX = 'http+unix:';

interface FoundRelay {
  readonly url: URL;
  /** The absolute path of its state directory, if it runs on this machine. */
  readonly dataDir: string;
  /** True if flags or configuration select the relay of that directory; a URL alone may name any server. */
  readonly isOfDirectory: boolean;
}

/** Throws a RelayError CONFIG_INVALID for an invalid flag or, if it is needed to find the relay, an invalid configuration. */
async function findRelay(flags: TargetFlags): Promise<FoundRelay> {
  if (flags.url === undefined) {
    const options = await optionsOf(flags);
    return { url: urlOfOptions(options), dataDir: options.dataDir, isOfDirectory: true };
  }
  const url = urlOfFlag(flags.url);
  const options = flags.config === undefined ? await optionsForToken(url, flags) : await optionsOf(flags);
  const isOfDirectory = flags.data !== undefined || flags.config !== undefined;
  return { url, dataDir: options?.dataDir ?? resolve(flags.data ?? '.co2'), isOfDirectory };
}

/** The URL of a relay with these options, as seen from its machine. Throws a RelayError CONFIG_INVALID if the port is unknown. */
export function urlOfOptions({ host, port, tls }: Pick<Options, 'host' | 'port' | 'tls'>): URL {
  if (port === 0) throw new RelayError('CONFIG_INVALID', 'port is 0 (any free one): set the URL of the relay with --url');
  const [first = ''] = typeof host === 'string' ? [host] : host;
  const address = canonicalAddress(first);
  const everywhere = address !== undefined && isUnspecified(address);
  const reached = everywhere ? (address.includes(':') ? '::1' : '127.0.0.1') : (address ?? first);
  return new URL(`${tls ? 'https' : 'http'}://${hostPort(reached, port)}`);
}

/** The path of the unix socket if `url` names one. */
export function socketOf(url: URL): string | undefined {
  return url.protocol === UNIX ? decodeURIComponent(url.host === '' ? url.pathname : url.host) : undefined;
}

/** True if `url` names a socket or an address of this machine, so that requests do not leave it. */
function isLocalUrl(url: URL): boolean {
  if (url.protocol === UNIX) return true;
  const address = url.hostname === 'localhost' ? '127.0.0.1' : canonicalAddress(url.hostname);
  if (address === undefined) return false;
  const own = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return isLoopback(address) || own.some((one) => canonicalAddress(one.address) === address);
}

function urlOfFlag(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  if (url?.protocol === UNIX && isSocketPath(url)) return url;
  throw new RelayError('CONFIG_INVALID', `--url: found '${text}', expected a URL like http://127.0.0.1:2004 or http+unix:/run/co2.sock`);
}

function isSocketPath(url: URL): boolean {
  try {
    return socketOf(url)?.startsWith('/') === true;
  } catch {
    return false;
  }
}

/** The state directory, if the token is needed. With --url, commands work despite an invalid configuration in the working directory. */
async function optionsForToken(url: URL, flags: TargetFlags): Promise<Pick<Options, 'dataDir'> | undefined> {
  if (flags.token !== undefined || flags.data !== undefined || !isLocalUrl(url)) return undefined;
  try {
    return await optionsOf(flags);
  } catch {
    // The environment may still name the directory.
    const { CO2_DATA_DIR: dataDir } = process.env;
    return dataDir === undefined || dataDir === '' ? undefined : { dataDir: resolve(dataDir) };
  }
}

/** The options of a relay that starts with the same flags. Imported on demand, to keep commands without options fast. */
export async function optionsOf({ data, config }: Pick<TargetFlags, 'data' | 'config'>): Promise<Options> {
  const { readOptions } = await import('./read-options.ts');
  return (await readOptions({ ...(data === undefined ? {} : { data }), ...(config === undefined ? {} : { config }) })).completed.options;
}

/** The URL to call, with an address of the relay in place of a name; or why it does not lead to the relay. */
type RelayAt = { readonly url: URL } | { readonly problem: string };

/**
 * Whether a URL of this machine leads to the relay of a state directory. Any program could listen on the port of a stopped relay and
 * receive its admin token, so the relay itself reports its addresses over the socket in its directory (relay.lock). Never rejects.
 */
async function relayAt(url: URL, dataDir: string, timeoutMs: number): Promise<RelayAt> {
  if (process.platform === 'win32') return { problem: 'Windows has no lock that identifies the relay; pass the token with --token' };
  try {
    const holder = await askLock(dataDir, timeoutMs);
    if (!holder) return { problem: `no relay runs on this state directory, so another program listens there; ${REMEDY}` };
    const { pid, listening } = holder;
    if (!listening) return { problem: `the relay (process ${pid}) does not report its addresses; is it starting, or an older version?` };
    const socketPath = socketOf(url);
    return socketPath === undefined ? overTcp(url, listening) : overSocket(url, socketPath, listening, dataDir);
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

const REMEDY = 'start the relay (co2 start), or select the right one with --url and --data, or pass a token with --token';

/** False if nothing listens there; true if something does or the answer is unknown. */
function isListening(url: URL): Promise<boolean> {
  const path = socketOf(url);
  return new Promise((resolve) => {
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const socket = connect(path === undefined ? { host, port: portOf(url) } : { path });
    const end = (isThere: boolean): void => {
      socket.destroy();
      resolve(isThere);
    };
    socket.setTimeout(2_000, () => {
      end(true);
    });
    socket.once('connect', () => {
      end(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      end(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT');
    });
  });
}

function overTcp(url: URL, { scheme, addresses }: Listening): RelayAt {
  const port = portOf(url);
  const address = canonicalAddress(url.hostname);
  const samePort = addresses.filter((one) => one.port === port);
  // Different programs may listen on the two addresses of localhost, so the exact address is used.
  const found = address === undefined ? samePort.find((one) => isLocal(one.address)) : samePort.find((one) => covers(one.address, address));
  if (!found) return { problem: `the relay listens on ${listed(addresses)} instead; ${REMEDY}` };
  if (url.protocol !== `${scheme}:`) return { problem: `the relay uses ${scheme.toUpperCase()}; use ${scheme}:// in the URL` };
  const exact = new URL(url);
  // TLS needs the name for its certificate, which proves the identity.
  if (address === undefined && scheme === 'http')
    exact.hostname = bracketed(isUnspecified(found.address) ? LOOPBACK[family(found.address)] : found.address);
  return { url: exact };
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

function overSocket(url: URL, path: string, { unixSocket }: Listening, dataDir: string): RelayAt {
  if (unixSocket === undefined || realpathSync(path) !== realpathSync(unixSocket))
    return { problem: `the relay listens on ${unixSocket ?? 'no unix socket'} instead; ${REMEDY}` };
  // Another user may have replaced the socket in a shared directory.
  if (statSync(path).uid !== statSync(dataDir).uid) return { problem: 'the socket belongs to another user than the state directory' };
  return { url };
}

/** True if a server that listens on `listening` receives connections to `address`. */
function covers(listening: string, address: string): boolean {
  return listening === address || (isUnspecified(listening) && (family(listening) === 'IPv6' || family(address) === 'IPv4'));
}

function isLocal(address: string): boolean {
  return isLoopback(address) || isUnspecified(address);
}

function family(address: string): keyof typeof LOOPBACK {
  return address.includes(':') ? 'IPv6' : 'IPv4';
}

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

function listed(addresses: Listening['addresses']): string {
  return addresses.map(({ address, port }) => hostPort(address, port)).join(', ');
}

function portOf({ port, protocol }: URL): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port);
}
