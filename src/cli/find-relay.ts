/** Which relay a client command means, and where its admin token lies: as the configuration says it to `co2 start`, unless a flag says otherwise. */
import { networkInterfaces } from 'node:os';
import { resolve } from 'node:path';
import type { Options } from '../config/config.ts';
import { RelayError } from '../core/core.ts';
import { canonicalAddress, hostPort, isLoopback, isUnspecified } from '../message/message.ts';

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
