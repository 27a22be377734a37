/** Composition root: makes the parts, starts them in order, stops them in reverse. The only place where the ring of parts closes. */
import 'reflect-metadata';
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { container as globalContainer } from 'tsyringe';
import { completeOptions } from './define-config/define-config.ts';
import type { Completed, Config, Options } from './define-config/define-config.ts';
import { Doors, tokenHash } from './http/http.ts';
import type { Bound, DoorsStatus, KnownToken } from './http/http.ts';
import { HttpCarrier, resolveBySystem } from './links/links.ts';
import type { ServerAddress } from './links/links.ts';
import { Mesh } from './mesh/mesh.ts';
import type { MeshStatus } from './mesh/mesh.ts';
import { ACCESS_CLASSES, RelayError, canonicalAddress, formatHostId, hostPort, isUnspecified, systemClock } from './message/message.ts';
import type { Clock, Log, LogSource } from './message/message.ts';
import { PluginHost } from './plugin-host/plugin-host.ts';
import type { PluginHostStatus } from './plugin-host/plugin-host.ts';
import { Relay } from './relay/relay.ts';
import type { RelayStatus } from './relay/relay.ts';
import { TokenFile, openStateDirectory, readSecret } from './store/store.ts';

export type { Config } from './define-config/define-config.ts';

/** What a relay takes from the process that it lives in. */
export interface Surroundings {
  /** Default: nothing is logged. */
  readonly logs?: LogSource | undefined;
  /** Default: the machine's clock. */
  readonly clock?: Clock | undefined;
  /** Uniform in [0, 1). Default Math.random. */
  readonly random?: (() => number) | undefined;
  /** ms since 1970, for what ends at a date. Default Date.now. */
  readonly date?: (() => number) | undefined;
  /** Environment variables, for secrets. Default those of the process. */
  readonly env?: Readonly<Record<string, string | undefined>> | undefined;
}

/** Everything countable about a running relay. */
export interface AppStatus {
  readonly relay: RelayStatus;
  readonly mesh: MeshStatus;
  readonly plugins: PluginHostStatus;
  readonly doors: DoorsStatus;
}

/** A relay that runs. */
export interface RunningRelay {
  /** Where it listens, `http://127.0.0.1:2004`. */
  readonly url: string;
  readonly hostId: string;
  /** What may everything, as it stands in the state directory. */
  readonly adminToken: string;
  status(): AppStatus;
  /** Refuses what comes, lets plugins exit, empties the outboxes, closes everything. Calling it again waits for the same end. */
  stop(): Promise<void>;
}

/** Version of this package. */
export const VERSION = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const SILENT: Log = { debug: nothing, info: nothing, warn: nothing, error: nothing, isDebugEnabled: () => false };

/**
 * Starts a relay inside this process; relative paths in `config` start from the working directory. Several may run at once.
 * Rejects with a RelayError whose text says what to do; nothing is left open then.
 */
export async function createRelay(config: Config = {}, surroundings: Surroundings = {}): Promise<RunningRelay> {
  const source = { values: config, baseDir: process.cwd(), nameOf: (key: string) => `createRelay: ${key}` };
  return startRelay(completeOptions([source], process.cwd()), surroundings);
}

/** Starts a relay from options that are complete. */
export async function startRelay({ options, isSet }: Completed, surroundings: Surroundings = {}): Promise<RunningRelay> {
  const { logs = () => SILENT, clock = systemClock, random = Math.random, date = Date.now, env = process.env } = surroundings;
  const log = logs('app');
  const state = await openStateDirectory(options.dataDir);
  const ownTokens = knownTokens(options, state.adminToken, env);
  const tokenFile = new TokenFile(state.path, clock, log);

  let bound: Bound = { address: '127.0.0.1', port: 0 };
  const pluginHost = new PluginHost({
    options,
    directoryRequired: isSet('pluginsDir'),
    container: globalContainer.createChildContainer(),
    logs,
    clock,
    cacheDir: state.cacheDir,
  });
  const carrier = (peer: ServerAddress): HttpCarrier => new HttpCarrier(peer, () => bound.address, options.peerTimeoutMs);
  const mesh = new Mesh({ options, logs, clock, random, resolve: resolveBySystem, carrier });
  const relay = new Relay({ options, pluginHost, mesh, logs, clock, version: VERSION, maxDictBytes: options.maxBodyBytes });
  const doors = new Doors({ options, relay, tokens: [() => ownTokens, () => tokenFile.all()], logs, clock, date });

  let hostId = '';
  const steps = new Steps(log);
  try {
    await steps.start(
      'doors',
      () => doors.stop(),
      async () => {
        bound = await doors.bind();
        const address = ownAddress(options, bound.address);
        hostId = formatHostId({ random: state.hostIdRandom, address, port: bound.port });
        relay.identify({ hostId, address, port: bound.port });
      },
    );
    await steps.start(
      'mesh',
      () => mesh.stop(),
      () => mesh.start(hostId),
    );
    // The ring closes here: plugins send through the relay, which delivers to plugins.
    await steps.start(
      'plugins',
      () => pluginHost.stop(),
      () => pluginHost.start(relay.port()),
    );
    relay.expose(pluginHost.methods());
    doors.open();
  } catch (error) {
    await steps.stop();
    throw error;
  }
  return {
    url: `${doors.scheme}://${hostPort(bound.address, bound.port)}`,
    hostId,
    adminToken: state.adminToken,
    status: () => ({ relay: relay.status(), mesh: mesh.status(), plugins: pluginHost.status(), doors: doors.status() }),
    stop: () => steps.stop(),
  };
}

/** The admin token and those of the configuration. Throws a RelayError CONFIG_INVALID for a secret that is missing, empty, unreadable, or there twice. */
function knownTokens(options: Options, adminToken: string, env: Readonly<Record<string, string | undefined>>): readonly KnownToken[] {
  const tokens: KnownToken[] = [{ name: 'admin', sha256: tokenHash(adminToken), classes: ACCESS_CLASSES, methods: ['*'] }];
  for (const [name, token] of Object.entries(options.access.tokens)) {
    const option = `access.tokens.${name}`;
    const sha256 = tokenHash(readSecret(option, token, env));
    const same = tokens.find((other) => other.sha256 === sha256);
    if (same) throw new RelayError('CONFIG_INVALID', `${option}: its secret is that of the token ${same.name}; give each its own`);
    const { classes = ['read', 'message', 'call'], methods = ['*'], expires } = token;
    tokens.push({ name, sha256, classes, methods, expires });
  }
  return tokens;
}

/** Steps that were started, to be stopped in reverse; but the doors close before all, so that nothing comes in any more. */
class Steps {
  readonly #started: { readonly name: string; readonly stop: () => Promise<void> }[] = [];
  #stopped: Promise<void> | undefined;

  constructor(private readonly log: Log) {}

  async start(name: string, stop: () => Promise<void>, run: () => Promise<void>): Promise<void> {
    this.#started.push({ name, stop });
    await run();
    this.log.debug(`${name} started`);
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopAll();
    return this.#stopped;
  }

  async #stopAll(): Promise<void> {
    const [doors, ...rest] = this.#started;
    for (const step of doors ? [doors, ...rest.reverse()] : []) {
      try {
        await step.stop();
        this.log.debug(`${step.name} stopped`);
      } catch (error) {
        this.log.error(`${step.name} did not stop cleanly:`, error);
      }
    }
  }
}

/** The address in our host_id: the operator's, or the one we listen on, or, listening on all, the first that other machines can reach. */
function ownAddress(options: Options, bound: string): string {
  const told = options.publicAddress === undefined ? undefined : canonicalAddress(options.publicAddress);
  if (told !== undefined) return told;
  if (!isUnspecified(bound)) return bound;
  const outward = Object.values(networkInterfaces())
    .flat()
    .find((net) => net !== undefined && !net.internal && net.family === 'IPv4');
  return outward?.address ?? '127.0.0.1';
}

function nothing(): void {
  // Nobody listens.
}
