/**
 * Finds the relay that a client command calls: the one that the user named, the one that runs on the state directory, or the configured
 * one. The configuration, which may have to be compiled, is read only if it is needed for the decision.
 */
import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Options } from '../config/config.ts';
import { clean, RelayError } from '../core/core.ts';
import { askLock } from '../state/internal.ts';
import type { Listening } from '../state/internal.ts';
import { CONFIG_NAMES, OTHER_VARIABLES } from './start-options.ts';
import { socketOf, urlOf } from './target.ts';
import type { TargetFlags } from './target.ts';

/** The relay to call. */
export interface FoundRelay {
  readonly url: URL;
  /** The absolute path of its state directory, if it runs on this machine. */
  readonly dataDir: string;
  /**
   * Whether the relay is known to own the state directory: the relay confirmed it (`runs`), flags or configuration imply it (`configured`),
   * or it is unknown (`named`), because a URL alone may name any server.
   */
  readonly as: 'runs' | 'configured' | 'named';
}

/** A relay that runs on a state directory of this machine. */
export interface RunningRelay {
  readonly pid: number;
  /** The absolute path of its state directory. */
  readonly dataDir: string;
  readonly listening: Listening;
}

const DEFAULT_URL = 'http://127.0.0.1:2004';

type Place = Pick<TargetFlags, 'data' | 'config'>;

// Long enough for a relay that is alive but busy.
const ANSWER_MS = 10_000;

/** Throws a RelayError CONFIG_INVALID for an invalid flag or, if it is needed to find the relay, an invalid configuration. */
export async function findRelay(flags: TargetFlags): Promise<FoundRelay> {
  const named = namedUrl(flags);
  if (named) return namedRelay(named, flags);
  const { running, options } = await relayOfDirectory(flags);
  if (running) return { url: urlOfListening(running.listening), dataDir: running.dataDir, as: 'runs' };
  if (!options) return { url: new URL(DEFAULT_URL), dataDir: resolve(givenDirectory(flags) ?? '.co2'), as: 'configured' };
  if (options.port === 0) throw noRelay(options.dataDir);
  const { urlOfOptions } = await import('./relay-owner.ts');
  return { url: urlOfOptions(options), dataDir: options.dataDir, as: 'configured' };
}

/**
 * Finds the relay that runs on the state directory of these flags. Rejects with a RelayError TRANSPORT if none is running, or
 * CONFIG_INVALID for an invalid configuration.
 */
export async function runningRelay(flags: Place): Promise<RunningRelay> {
  const { running, options } = await relayOfDirectory(flags);
  if (running) return running;
  throw noRelay(options?.dataDir ?? resolve(givenDirectory(flags) ?? '.co2'));
}

function noRelay(dataDir: string): RelayError {
  return new RelayError(
    'TRANSPORT',
    `no relay runs on ${clean(dataDir, Infinity)}; start it (co2 start), or select another with --data or --url`,
  );
}

function namedUrl({ url }: TargetFlags): URL | undefined {
  if (url !== undefined) return urlOf(url, '--url');
  const { CO2_URL: variable = '' } = process.env;
  return variable === '' ? undefined : urlOf(variable, 'CO2_URL');
}

/** With a URL, commands work despite an invalid configuration in the working directory, unless the user names it. */
async function namedRelay(url: URL, flags: TargetFlags): Promise<FoundRelay> {
  const as = flags.data === undefined && flags.config === undefined ? 'named' : 'configured';
  const given = givenDirectory(flags);
  const { isLocalUrl } = await import('./relay-owner.ts');
  if (flags.config === undefined && (given !== undefined || hasToken(flags) || !isLocalUrl(url)))
    return { url, dataDir: resolve(given ?? '.co2'), as };
  if (flags.config !== undefined) return { url, dataDir: (await optionsOf(flags)).dataDir, as };
  const running = await relayHere(flags);
  const options = running || isDefault(flags) ? undefined : await optionsOf(flags).catch(() => undefined);
  return { url, dataDir: running?.dataDir ?? options?.dataDir ?? resolve('.co2'), as };
}

function hasToken({ token, tokenFile }: TargetFlags): boolean {
  const { CO2_TOKEN: variable = '', CO2_TOKEN_FILE: file = '' } = process.env;
  return (token ?? tokenFile ?? variable + file) !== '';
}

/** Returns the relay that runs on the state directory, and the options if they had to be read; neither if they are the defaults. */
async function relayOfDirectory(flags: Place): Promise<{ readonly running?: RunningRelay | undefined; readonly options?: Options }> {
  const running = setsAddress() ? undefined : await relayHere(flags);
  if (running || isDefault(flags)) return { running };
  const options = await optionsOf(flags);
  return { running: setsAddress() ? undefined : await relayOn(options.dataDir), options };
}

/** True if the environment contains the address of the relay; port 0 is not an address. */
function setsAddress(): boolean {
  const { CO2_PORT: port = '', CO2_HOST: host = '' } = process.env;
  return (port !== '' && port !== '0') || host !== '';
}

/** Returns the running relay if it reports that it read the same configuration file, so that we need not read it. */
async function relayHere(flags: Place): Promise<RunningRelay | undefined> {
  if (setsOptions()) return undefined;
  const given = givenDirectory(flags);
  const running = await relayOn(resolve(given ?? '.co2'));
  if (!running || given !== undefined) return running;
  return isSameFile(configFile(flags), running.listening.configFile) ? running : undefined;
}

function givenDirectory({ data }: Place): string | undefined {
  return data ?? nonEmpty(process.env.CO2_DATA_DIR);
}

/** True if the options are the defaults for certain. */
function isDefault(flags: Place): boolean {
  return !setsOptions() && configFile(flags) === undefined;
}

/** True if options may be set in the environment, where a misspelled one is an error. */
function setsOptions(): boolean {
  return Object.keys(process.env).some((name) => name.startsWith('CO2_') && name !== 'CO2_DATA_DIR' && !OTHER_VARIABLES.test(name));
}

function configFile({ config }: Place): string | undefined {
  return config ?? nonEmpty(process.env.CO2_CONFIG) ?? CONFIG_NAMES.find((name) => existsSync(name));
}

function isSameFile(ours: string | undefined, theirs: string | undefined): boolean {
  if (ours === undefined || theirs === undefined) return ours === theirs;
  try {
    return realpathSync(ours) === realpathSync(theirs);
  } catch {
    return false;
  }
}

/** Never rejects: if the directory cannot be read, no relay can be found through it. */
async function relayOn(dataDir: string): Promise<RunningRelay | undefined> {
  const holder = await askLock(dataDir, ANSWER_MS).catch(() => undefined);
  return holder?.listening && { pid: holder.pid, dataDir, listening: holder.listening };
}

/** The first address as seen from here. Certificates rarely contain it, so HTTPS relays are called over their socket if they have one. */
function urlOfListening({ scheme, addresses: [first], unixSocket }: Listening): URL {
  if (first === undefined || (scheme === 'https' && unixSocket !== undefined)) return new URL(`http+unix:${unixSocket ?? '/'}`);
  const { address, port } = first;
  const reached = address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
  return new URL(`${scheme}://${reached.includes(':') ? `[${reached}]` : reached}:${port}`);
}

/** The options of a relay that starts with the same flags. Imported on demand: schemas and the compiler take longer than a call. */
export async function optionsOf({ data, config }: Place): Promise<Options> {
  const { readOptions } = await import('./read-options.ts');
  const flags = { ...(data === undefined ? {} : { data }), ...(config === undefined ? {} : { config }) };
  return (await readOptions(flags, { isClient: true })).completed.options;
}

/** The name of a relay in messages to the user. */
export function nameOf(url: URL): string {
  return socketOf(url) ?? url.host;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
