/** Which relay a client command means, and where its admin token lies: as the configuration says it to `co2 start`, unless a flag says otherwise. */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { Options } from '../define-config/define-config.ts';
import { canonicalAddress, clean, hostPort, isLoopback, isUnspecified, reasonOf, RelayError } from '../message/message.ts';
import type { Sendable, Value } from '../message/message.ts';
import { askLock } from '../store/store.ts';
import type { Listening } from '../store/store.ts';
import { RemoteFault, XmlRpcClient } from '../xmlrpc/xmlrpc.ts';

/** The flags that say which relay is meant. */
export interface PlaceFlags {
  readonly url?: string;
  readonly data?: string;
  readonly config?: string;
  readonly token?: string;
}

const UNIX = 'http+unix:';

export interface FoundRelay {
  readonly url: URL;
  /** Its state directory, if it is a relay of this machine; absolute. */
  readonly dataDir: string;
  /** True if the flags or the configuration say that the relay of that directory is meant; a URL alone may name any server. */
  readonly isOfDirectory: boolean;
}

/** Throws a RelayError CONFIG_INVALID for a wrong flag or, if that is what says where the relay is, a wrong configuration. */
export async function findRelay(flags: PlaceFlags): Promise<FoundRelay> {
  if (flags.url === undefined) {
    const options = await optionsOf(flags);
    return { url: urlOfOptions(options), dataDir: options.dataDir, isOfDirectory: true };
  }
  const url = urlOfFlag(flags.url);
  const options = flags.config === undefined ? await optionsForToken(url, flags) : await optionsOf(flags);
  const isOfDirectory = flags.data !== undefined || flags.config !== undefined;
  return { url, dataDir: options?.dataDir ?? resolve(flags.data ?? '.co2'), isOfDirectory };
}

/** Where a relay with these options is reached from its own machine. Throws a RelayError CONFIG_INVALID if nobody can know. */
export function urlOfOptions({ host, port, tls }: Pick<Options, 'host' | 'port' | 'tls'>): URL {
  if (port === 0) throw new RelayError('CONFIG_INVALID', 'port is 0, any free one: say with --url where the relay listens');
  const [first = ''] = typeof host === 'string' ? [host] : host;
  const address = canonicalAddress(first);
  const everywhere = address !== undefined && isUnspecified(address);
  const reached = everywhere ? (address.includes(':') ? '::1' : '127.0.0.1') : (address ?? first);
  return new URL(`${tls ? 'https' : 'http'}://${hostPort(reached, port)}`);
}

/** The path of the unix socket that `url` names, if it does. */
export function socketOf(url: URL): string | undefined {
  return url.protocol === UNIX ? decodeURIComponent(url.host === '' ? url.pathname : url.host) : undefined;
}

/** True if `url` names a socket or an address of this machine: what is sent there does not leave it. */
export function isHere(url: URL): boolean {
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

/** Asked only where the token lies: whoever gives a URL may ask while the configuration in his directory is broken. */
async function optionsForToken(url: URL, flags: PlaceFlags): Promise<Pick<Options, 'dataDir'> | undefined> {
  if (flags.token !== undefined || flags.data !== undefined || !isHere(url)) return undefined;
  try {
    return await optionsOf(flags);
  } catch {
    // Without the file the place is still known if a variable says it.
    const { CO2_DATA_DIR: dataDir } = process.env;
    return dataDir === undefined || dataDir === '' ? undefined : { dataDir: resolve(dataDir) };
  }
}

/** Those of a relay that is started with the same flags. Loaded late: a command that needs no options is quicker without. */
export async function optionsOf({ data, config }: Pick<PlaceFlags, 'data' | 'config'>): Promise<Options> {
  const { readOptions } = await import('./read-options.ts');
  return (await readOptions({ ...(data === undefined ? {} : { data }), ...(config === undefined ? {} : { config }) })).completed.options;
}

/** The URL to call, in which a name is replaced by an address that the relay listens on; or why the relay is not there. */
export type RelayAt = { readonly url: URL } | { readonly problem: string };

/** Never rejects. */
export async function relayAt(url: URL, dataDir: string, timeoutMs: number): Promise<RelayAt> {
  if (process.platform === 'win32')
    return { problem: 'Windows has no lock that says which relay listens there; give the credential with --token' };
  try {
    const holder = await askLock(dataDir, timeoutMs);
    if (!holder) return { problem: `no relay runs on this state directory, so something else listens there; ${REMEDY}` };
    const { pid, listening } = holder;
    if (!listening) return { problem: `the relay of process ${pid} does not say where it listens; is it starting, or an older version?` };
    const socketPath = socketOf(url);
    return socketPath === undefined ? overTcp(url, listening) : overSocket(url, socketPath, listening, dataDir);
  } catch (error) {
    return { problem: reasonOf(error) };
  }
}

const REMEDY = 'start the relay (co2 start), or name the right one with --url and --data, or a credential with --token';

/** False if nothing listens there; true if something does, or nobody knows. */
export function isAnswered(url: URL): Promise<boolean> {
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
  const places = addresses.filter((place) => place.port === port);
  // Two programs may listen on the two addresses of localhost, so the relay's own is called.
  const found =
    address === undefined ? places.find((place) => isLocal(place.address)) : places.find((place) => covers(place.address, address));
  if (!found) return { problem: `its relay listens on ${listed(addresses)}, not there; ${REMEDY}` };
  if (url.protocol !== `${scheme}:`) return { problem: `its relay speaks ${scheme.toUpperCase()} there; use ${scheme}:// in the URL` };
  const exact = new URL(url);
  // Over TLS the certificate is for the name, and proves who answers.
  if (address === undefined && scheme === 'http')
    exact.hostname = bracketed(isUnspecified(found.address) ? LOOPBACK[family(found.address)] : found.address);
  return { url: exact };
}

const LOOPBACK = { IPv4: '127.0.0.1', IPv6: '::1' } as const;

function overSocket(url: URL, path: string, { unixSocket }: Listening, dataDir: string): RelayAt {
  if (unixSocket === undefined || realpathSync(path) !== realpathSync(unixSocket))
    return { problem: `its relay listens on ${unixSocket ?? 'no unix socket'}, not there; ${REMEDY}` };
  // In a directory that others may write to, somebody may have put another socket in its place.
  if (statSync(path).uid !== statSync(dataDir).uid) return { problem: 'the socket belongs to another user than the state directory' };
  return { url };
}

/** True if who listens on `listening` is who answers at `address`. */
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
