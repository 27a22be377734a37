/** Remote satellites: registers them, notifies them, expires those that are gone, and remembers them across restarts. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Notification } from '../links/links.ts';
import type { LinkEvent, LinkOptions, LinkStatus, LinkTransport, ServerAddress } from '../links/links.ts';
import { RelayError, clean, reasonOf, sha256 } from '../core/core.ts';
import { addressBlock, isLoopback, parseHostId } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Dict } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { StateFile } from '../state/state.ts';
import type { SatelliteOptions } from './options.ts';
import type { Pings } from './pings.ts';
import { fromFile, hostIdFor, endpointKey, readNick, readEndpoint, toFile } from './record.ts';
import type { Credential, SatelliteRecord } from './record.ts';
import { Remote } from './remote.ts';
import type { RemoteSatelliteEvent } from './satellite-events.ts';

export { satelliteDefaults, satelliteShape } from './options.ts';
export type { SatelliteOptions } from './options.ts';
export type { Pings } from './pings.ts';
export type { Credential } from './record.ts';
export { logSatelliteEvents } from './satellite-events.ts';
export type { RemoteSatelliteEvent } from './satellite-events.ts';

export interface SatellitesParts {
  readonly options: SatelliteOptions & LinkOptions & { readonly drainMs: number };
  readonly logs: LogSource;
  readonly events: EventSink<RemoteSatelliteEvent | LinkEvent>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly transport: (server: ServerAddress) => LinkTransport;
  /** The state directory, in which `satellites.json` remembers them. */
  readonly stateDir: string;
  /**
   * Who else uses this address and port, which is this relay or a peer, so that no satellite may register there; undefined if none does.
   */
  readonly ownerOf: (address: string, port: number) => string | undefined;
  /** True while the token is neither revoked nor expired; a new token of the same name is another token. */
  readonly isValidToken: (credential: Credential) => boolean;
}

/** Who registers a satellite. */
export interface Registrant {
  /** Canonical. */
  readonly address: string;
  /** The host_id that it claims, checked; undefined if it claims none. */
  readonly hostId: string | undefined;
  /** The token that it presented. */
  readonly token: Credential | undefined;
}

/** The public view of a satellite, without its tokens. */
export interface SatelliteView extends Omit<SatelliteRecord, 'tokenHash' | 'registeredWith'> {
  readonly pings: Pings;
}

/** A registration that succeeded. */
export interface Registered extends SatelliteView {
  /** Returned only once, to the satellite. */
  readonly token: string;
}

/** Counters of several links together. */
export type LinkTotals = Readonly<Record<(typeof COUNTED)[number], number>>;

export interface SatellitesStatus {
  readonly satellites: readonly (SatelliteView & { readonly link: LinkStatus })[];
  /** Dicts for all satellites since the start, also for those that have left. */
  readonly totals: LinkTotals;
  /** Registrations since the start, repeated ones included. */
  readonly registered: number;
  readonly unregistered: number;
  /** Dropped because they did not answer or their token became invalid. */
  readonly dropped: number;
}

/** The satellite that sends a dict. */
export interface Sender {
  /** For {@link Satellites.deliver}. */
  readonly id: string;
  readonly hostId: string;
  readonly name: string;
}

const COUNTED = ['forwarded', 'refused', 'dropped'] as const;

// A record takes at most 600 bytes of JSON, and the option allows 10,000.
const MAX_FILE_BYTES = 8 * 1024 * 1024;

// So many satellites may register from one address, whatever maxSatellites is: a quarter of its default.
const MIN_SHARE = 25;

/** All remote satellites of this relay. */
export class Satellites {
  readonly #parts: SatellitesParts;
  readonly #log: Log;
  readonly #file: StateFile;
  // By endpoint, in order of their first registration.
  readonly #remotes = new Map<string, Remote>();
  // Still registered in memory, but not in the file that is being written.
  readonly #leaving = new Set<Remote>();
  // With those that were replaced or removed, until their links are closed.
  readonly #open = new Set<Remote>();
  // Of those that have left. Counters must not decrease when a satellite leaves.
  readonly #departed = { forwarded: 0, refused: 0, dropped: 0 };
  readonly #count = { registered: 0, unregistered: 0, dropped: 0 };
  #hostId = '';

  constructor(parts: SatellitesParts) {
    this.#parts = parts;
    this.#log = parts.logs('satellites');
    this.#file = new StateFile(join(parts.stateDir, 'satellites.json'), MAX_FILE_BYTES);
  }

  get max(): number {
    return this.#parts.options.maxSatellites;
  }

  /**
   * Restores the registrations. Rejects with a RelayError STATE_DIRECTORY if the file cannot be read; a damaged file is logged and
   * renamed.
   */
  async start(hostId: string): Promise<void> {
    this.#hostId = hostId;
    const found = await this.#file.load(fromFile);
    if (found.kind === 'damaged') {
      const { path } = this.#file;
      this.#log.error(`${path} is damaged (${clean(found.reason)}) and was renamed to ${found.movedTo}: satellites must register again`);
    }
    if (found.kind !== 'value') return;
    for (const record of found.value) this.#remember(record);
    if (this.#remotes.size > 0) this.#log.info(`satellites remembered: ${this.list().map(endpointKey).join(', ')}`);
  }

  /**
   * Registers the satellite that `props` describe, at the registrant's address. A registration at the same endpoint is replaced. Resolves
   * once the new one is on disk. Rejects with RelayErrors INVALID_PARAMS, FORBIDDEN, LIMIT and UNAVAILABLE.
   */
  async register(props: Dict, { address, hostId, token: registeredWith }: Registrant): Promise<Registered> {
    const endpoint = readEndpoint(props, address);
    const key = endpointKey(endpoint);
    const owner = this.#parts.ownerOf(address, endpoint.port);
    if (owner !== undefined) throw new RelayError('INVALID_PARAMS', `${key} is ${owner}, and cannot be a satellite`);
    this.#requireOwner(this.#remotes.get(key), registeredWith);
    const named = hostId ?? hostIdFor(endpoint, randomBytes(8).toString('hex'));
    const token = randomBytes(24).toString('base64url');
    const record = {
      ...endpoint,
      hostId: named,
      nick: readNick(props.nick, named),
      ctime: new Date(),
      tokenHash: sha256(token),
      registeredWith,
    };
    const remote = await this.#put(record);
    this.#count.registered++;
    this.#parts.events.emit({ type: 'satellite.registered', satellite: key, hostId: named, nick: record.nick });
    return { ...view(remote), token };
  }

  /**
   * Unregisters a satellite; resolves once it is removed from disk. Rejects with a RelayError UNAVAILABLE if that fails; then it is still
   * registered.
   */
  async unregister({ id }: Sender): Promise<void> {
    const remote = this.#byId(id);
    if (!remote) return;
    this.#leaving.add(remote);
    try {
      await this.#save();
    } catch (error) {
      this.#leaving.delete(remote);
      this.#log.error(`${remote.name} could not be unregistered: ${reasonOf(error)}`);
      throw new RelayError(
        'UNAVAILABLE',
        'the satellite is still registered, since it cannot be removed from disk (see the log); call again later',
        {
          cause: error,
        },
      );
    }
    // Another call may have registered it again, or unregistered it too.
    if (!this.#leaving.delete(remote) || !this.#remove(remote)) return;
    this.#count.unregistered++;
    this.#parts.events.emit({ type: 'satellite.left', satellite: endpointKey(remote.record) });
    await this.#abandon(remote);
  }

  /** Throws a RelayError FORBIDDEN if the satellite was registered with a token that is still valid, and `credential` is not that token. */
  requireOwner({ id }: Sender, credential: Credential | undefined): void {
    this.#requireOwner(this.#byId(id), credential);
  }

  /** The satellite with this token, if it is at `address`. */
  byToken(token: string, address: string): Sender | undefined {
    const hash = sha256(token);
    return this.#find(({ record }) => record.tokenHash === hash && record.address === address);
  }

  /** The satellite at `address` that has this host_id, or whose port is the one in it. */
  byHostId(hostId: string, address: string): Sender | undefined {
    const host = parseHostId(hostId);
    if (host?.address !== address) return undefined;
    return (
      this.#find(({ record }) => record.address === address && record.hostId === hostId) ??
      this.#find(({ record }) => record.address === address && record.port === host.port)
    );
  }

  /** The satellite that listens at this address and port. */
  byEndpoint(address: string, port: number): Sender | undefined {
    return this.#find(({ record }) => record.address === address && record.port === port);
  }

  /**
   * True if a satellite at `address` (canonical) registered without a token. One that registered with a token must present it, or its
   * address would grant more than the token.
   */
  isSatelliteAddress(address: string): boolean {
    return this.#find(({ record }) => record.address === address && record.registeredWith === undefined) !== undefined;
  }

  /** Queues the message for every satellite except the one with the id `except`; returns their number. Never throws. */
  deliver(message: Message, except?: string): number {
    if (this.#remotes.size === 0) return 0;
    const { clock } = this.#parts;
    const { clientAddress, hopsLeft } = message;
    const own = { client_address: [...clientAddress] };
    // Delivery to a satellite is not a hop, since it never forwards.
    const notification = new Notification(message, { by: this.#hostId, clock, hops: hopsLeft, own, isShared: this.#remotes.size > 1 });
    let recipients = 0;
    for (const remote of this.#remotes.values()) {
      if (remote.id === except) continue;
      remote.notify(notification);
      recipients++;
    }
    return recipients;
  }

  /** The satellites in order of their registration. */
  list(): readonly SatelliteView[] {
    return [...this.#remotes.values()].map(view);
  }

  status(): SatellitesStatus {
    const satellites = [...this.#remotes.values()].map((remote) => ({ ...view(remote), link: remote.status }));
    return { satellites, totals: this.#totals(), ...this.#count };
  }

  /** Sends the waiting dicts and then `farewell`, for `drainMs` at most, and closes all connections. The registrations stay on disk. */
  async stop(farewell: Message | undefined): Promise<void> {
    if (farewell) this.deliver(farewell);
    await Promise.all([...this.#remotes.values()].map((remote) => remote.drain(this.#parts.options.drainMs)));
  }

  #remember(record: SatelliteRecord): void {
    const key = endpointKey(record);
    const owner = this.#parts.ownerOf(record.address, record.port);
    if (owner !== undefined) this.#log.warn(`dropped satellite ${key}: it is ${owner}`);
    else if (this.#remotes.size >= this.max) this.#log.warn(`dropped satellite ${key}: only ${this.max} are allowed (maxSatellites)`);
    else if (!this.#remotes.has(key)) {
      const { random, options } = this.#parts;
      // The first pings are spread over an interval, so that a hundred satellites are not pinged at the same moment.
      this.#add(record).start(Math.round(random() * options.pingIntervalMs));
    }
  }

  /** Adds the record and saves it; if saving fails, the registration is undone. */
  async #put(record: SatelliteRecord): Promise<Remote> {
    const before = this.#remotes.get(endpointKey(record));
    if (!before) this.#requireShare(record.address);
    if (!before && this.#remotes.size >= this.max)
      throw new RelayError(
        'LIMIT',
        `${this.max} satellites are already registered, which is the limit of this relay (maxSatellites); call again later`,
      );
    const recordBefore = before?.record;
    const isSamePath = recordBefore?.path === record.path;
    const remote = before && isSamePath ? before : this.#add(record);
    remote.record = record;
    this.#leaving.delete(remote);
    // Called before saving, so that earlier failed pings do not expire it meanwhile.
    if (remote === before) remote.registeredAgain();
    try {
      await this.#save();
    } catch (error) {
      this.#log.error(`${remote.name} could not be registered: ${reasonOf(error)}`);
      this.#undo(remote, record, before, recordBefore);
      if (remote !== before) await this.#abandon(remote);
      throw new RelayError('UNAVAILABLE', 'the registration cannot be saved (see the log); call again later', { cause: error });
    }
    if (remote !== before) {
      remote.start();
      if (before) await this.#abandon(before);
    }
    return remote;
  }

  #requireOwner(remote: Remote | undefined, credential: Credential | undefined): void {
    const owner = remote?.record.registeredWith;
    if (!remote || !owner || owner.id === credential?.id || !this.#parts.isValidToken(owner)) return;
    throw new RelayError(
      'FORBIDDEN',
      `${remote.name} was registered with a token: present the same one, or unregister it with the token that relay.register returned`,
    );
  }

  /** Throws if too many satellites are registered from this address: registering is free, so no other machine may use up the limit. */
  #requireShare(address: string): void {
    const share = Math.max(MIN_SHARE, Math.ceil(this.max / 4));
    const count = [...this.#remotes.values()].filter(({ record }) => addressBlock(record.address) === addressBlock(address)).length;
    if (!isLoopback(address) && count >= share)
      throw new RelayError(
        'LIMIT',
        `${share} satellites are already registered from your address, which is the limit; unregister one first`,
      );
  }

  /** Undoes a registration, unless another one has replaced it meanwhile. */
  #undo(remote: Remote, record: SatelliteRecord, before: Remote | undefined, recordBefore: SatelliteRecord | undefined): void {
    if (remote.record !== record || this.#remotes.get(endpointKey(record)) !== remote) return;
    if (before && recordBefore) {
      before.record = recordBefore;
      this.#remotes.set(endpointKey(record), before);
    } else this.#remotes.delete(endpointKey(record));
  }

  #add(record: SatelliteRecord): Remote {
    const remote = new Remote(record, {
      ...this.#parts,
      log: this.#log,
      onExpired: (expired, reason) => {
        this.#drop(expired, reason);
      },
    });
    this.#remotes.set(endpointKey(record), remote);
    this.#open.add(remote);
    return remote;
  }

  /** Closes its link, and keeps what the link has counted. */
  async #abandon(remote: Remote): Promise<void> {
    const closing = remote.abandon();
    if (this.#open.delete(remote)) addTo(this.#departed, remote.status);
    await closing;
  }

  #totals(): LinkTotals {
    const totals = { ...this.#departed };
    for (const remote of this.#open) addTo(totals, remote.status);
    return totals;
  }

  #drop(remote: Remote, reason: string): void {
    if (!this.#remove(remote)) return;
    this.#count.dropped++;
    this.#parts.events.emit({ type: 'satellite.expired', satellite: endpointKey(remote.record), reason });
    void Promise.all([this.#abandon(remote), this.#save()]).catch((error: unknown) => {
      this.#log.error(`${remote.name} is dropped, but could not be removed from disk: ${reasonOf(error)}`);
    });
  }

  #remove(remote: Remote): boolean {
    const key = endpointKey(remote.record);
    return this.#remotes.get(key) === remote && this.#remotes.delete(key);
  }

  #save(): Promise<void> {
    return this.#file.save(() => toFile(this.#remaining().map(({ record }) => record)));
  }

  #remaining(): Remote[] {
    return [...this.#remotes.values()].filter((remote) => !this.#leaving.has(remote));
  }

  #byId(id: string): Remote | undefined {
    return [...this.#remotes.values()].find((remote) => remote.id === id);
  }

  #find(is: (remote: Remote) => boolean): Sender | undefined {
    for (const remote of this.#remotes.values()) {
      if (is(remote)) return { id: remote.id, hostId: remote.record.hostId, name: remote.name };
    }
    return undefined;
  }
}

function addTo(sum: Record<(typeof COUNTED)[number], number>, counters: LinkTotals): void {
  for (const key of COUNTED) sum[key] += counters[key];
}

function view({ record, pings }: Remote): SatelliteView {
  const { tokenHash: _tokenHash, registeredWith: _registeredWith, ...shown } = record;
  return { ...shown, pings };
}
