/** Satellites elsewhere: who registered, how they are notified, when they count as gone; remembered over a restart. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { Notification } from '../links/links.ts';
import type { Transport, LinkOptions, LinkStatus, ServerAddress } from '../links/links.ts';
import { RelayError, clean, reasonOf, sha256 } from '../core/core.ts';
import { addressBlock, isLoopback, parseHostId } from '../message/message.ts';
import type { Clock, Log, LogSource } from '../core/core.ts';
import type { Dict } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import { StateFile } from '../state/state.ts';
import type { SatelliteOptions } from './options.ts';
import type { Pings } from './pings.ts';
import { fromKept, hostIdFor, placeKey, readNick, readPlace, toKept } from './record.ts';
import type { Credential, SatelliteRecord } from './record.ts';
import { Remote } from './remote.ts';

export { satelliteDefaults, satelliteShape } from './options.ts';
export type { SatelliteOptions } from './options.ts';
export type { Pings } from './pings.ts';
export type { Credential } from './record.ts';

export interface SatellitesParts {
  readonly options: SatelliteOptions & LinkOptions & { readonly drainMs: number };
  readonly logs: LogSource;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly carrier: (server: ServerAddress) => Transport;
  /** The state directory; `satellites.json` in it remembers them. */
  readonly stateDir: string;
  /** Why nobody may register at this address and port, or undefined if somebody may: our own door, a peer's. */
  readonly taken: (address: string, port: number) => string | undefined;
  /** True as long as the token is neither revoked nor expired; one that was made anew under its name is another. */
  readonly isValidToken: (credential: Credential) => boolean;
}

/** Who registers a satellite. */
export interface Registrant {
  /** Canonical. */
  readonly address: string;
  /** The host_id that it names, checked; undefined if it names none. */
  readonly hostId: string | undefined;
  /** The token that it presented. */
  readonly token: Credential | undefined;
}

/** One satellite as others may see it: all but what its tokens are. */
export interface SatelliteView extends Omit<SatelliteRecord, 'tokenHash' | 'registeredWith'> {
  readonly pings: Pings;
}

/** A registration that succeeded. */
export interface Registered extends SatelliteView {
  /** Known to nobody else, and to nobody again. */
  readonly token: string;
}

export interface SatellitesStatus {
  readonly satellites: readonly (SatelliteView & { readonly link: LinkStatus })[];
  /** Registrations since the start, anew at the same place counted too. */
  readonly registered: number;
  readonly unregistered: number;
  /** Dropped since they did not answer. */
  readonly dropped: number;
}

/** Which satellite hands a dict in. */
export interface Sender {
  /** For {@link Satellites.deliver}. */
  readonly id: string;
  readonly hostId: string;
  readonly name: string;
}

// A record takes at most 600 bytes of JSON, and the option allows 10,000.
const MAX_FILE_BYTES = 8 * 1024 * 1024;

// Of one machine; with the default of maxSatellites a quarter of them.
const MIN_SHARE = 25;

export class Satellites {
  readonly #parts: SatellitesParts;
  readonly #log: Log;
  readonly #file: StateFile;
  // By place, in order of their first registration.
  readonly #remotes = new Map<string, Remote>();
  // Still registered here, but not in the file that is being written.
  readonly #leaving = new Set<Remote>();
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

  /** Remembers who was registered. Rejects with a RelayError STATE_DIRECTORY if the file is there and cannot be read; a damaged one is reported and set aside. */
  async start(hostId: string): Promise<void> {
    this.#hostId = hostId;
    const found = await this.#file.load(fromKept);
    if (found.kind === 'damaged') {
      const { path } = this.#file;
      this.#log.error(`${path} is damaged (${clean(found.reason)}) and now lies in ${found.movedTo}: satellites must register again`);
    }
    if (found.kind !== 'value') return;
    for (const record of found.value) this.#remember(record);
    if (this.#remotes.size > 0) this.#log.info(`satellites remembered: ${this.list().map(placeKey).join(', ')}`);
  }

  /**
   * Registers the satellite that `props` describe, at the registrant's address. At a place that is registered the new
   * record replaces the old one. Resolves once it is safe on disk. Throws RelayErrors INVALID_PARAMS, FORBIDDEN, LIMIT and UNAVAILABLE.
   */
  async register(props: Dict, { address, hostId, token: registeredWith }: Registrant): Promise<Registered> {
    const place = readPlace(props, address);
    const taken = this.#parts.taken(address, place.port);
    if (taken !== undefined) throw new RelayError('INVALID_PARAMS', `${placeKey(place)} is ${taken}, and cannot be a satellite`);
    this.#requireOwner(this.#remotes.get(placeKey(place)), registeredWith);
    const named = hostId ?? hostIdFor(place, randomBytes(8).toString('hex'));
    const token = randomBytes(24).toString('base64url');
    const record = {
      ...place,
      hostId: named,
      nick: readNick(props.nick, named),
      ctime: new Date(),
      tokenHash: sha256(token),
      registeredWith,
    };
    const remote = await this.#put(record);
    this.#count.registered++;
    this.#log.info(`registered ${remote.name}, ${clean(record.nick)}`);
    return { ...view(remote), token };
  }

  /** Forgets a satellite; resolves once the disk has forgotten it too. Rejects with a RelayError UNAVAILABLE if it cannot: the satellite is still registered then. */
  async unregister({ id }: Sender): Promise<void> {
    const remote = this.#byId(id);
    if (!remote) return;
    this.#leaving.add(remote);
    try {
      await this.#save();
    } catch (error) {
      this.#leaving.delete(remote);
      this.#log.error(`${remote.name} is not unregistered: ${reasonOf(error)}`);
      throw new RelayError('UNAVAILABLE', 'still registered: that it left cannot be kept on disk, the log says why; call again later', {
        cause: error,
      });
    }
    // False if it registered again meanwhile, or if somebody else unregistered it too.
    if (!this.#leaving.delete(remote) || !this.#remove(remote)) return;
    this.#count.unregistered++;
    this.#log.info(`unregistered ${remote.name}`);
    await remote.abandon();
  }

  /** Throws a RelayError FORBIDDEN if the satellite was registered with a token, as long as that is valid, and `credential` is another one or none. */
  requireOwner({ id }: Sender, credential: Credential | undefined): void {
    this.#requireOwner(this.#byId(id), credential);
  }

  /** The satellite of this token, if it is at `address`. */
  byToken(token: string, address: string): Sender | undefined {
    const hash = sha256(token);
    return this.#find(({ record }) => record.tokenHash === hash && record.address === address);
  }

  /** The satellite at `address` that a host_id names: by its port, or as it stands in its record. */
  byHostId(hostId: string, address: string): Sender | undefined {
    const host = parseHostId(hostId);
    if (host?.address !== address) return undefined;
    return (
      this.#find(({ record }) => record.address === address && record.hostId === hostId) ??
      this.#find(({ record }) => record.address === address && record.port === host.port)
    );
  }

  /** The satellite that listens there. */
  byPlace(address: string, port: number): Sender | undefined {
    return this.#find(({ record }) => record.address === address && record.port === port);
  }

  /** True if a satellite at `address` (canonical) registered without a token; who has one goes on presenting it, or its address would give more than the token. */
  isSatelliteAddress(address: string): boolean {
    return this.#find(({ record }) => record.address === address && record.registeredWith === undefined) !== undefined;
  }

  /** Puts the message into the line of every satellite but the one of this id; returns how many those are. Never throws, never waits. */
  deliver(message: Message, except?: string): number {
    if (this.#remotes.size === 0) return 0;
    const { clock } = this.#parts;
    const { clientAddress, hopsLeft } = message;
    const own = { client_address: [...clientAddress] };
    // To a satellite is no hop: it never forwards.
    const notification = new Notification(message, { by: this.#hostId, clock, hops: hopsLeft, own });
    let takers = 0;
    for (const remote of this.#remotes.values()) {
      if (remote.id === except) continue;
      remote.notify(notification);
      takers++;
    }
    return takers;
  }

  /** In order of their registration. */
  list(): readonly SatelliteView[] {
    return [...this.#remotes.values()].map(view);
  }

  status(): SatellitesStatus {
    return { satellites: [...this.#remotes.values()].map((remote) => ({ ...view(remote), link: remote.status })), ...this.#count };
  }

  /** Sends what waits and then `farewell`, within the drain budget, and closes all connections. They stay remembered. */
  async stop(farewell: Message | undefined): Promise<void> {
    if (farewell) this.deliver(farewell);
    await Promise.all([...this.#remotes.values()].map((remote) => remote.drain(this.#parts.options.drainMs)));
  }

  #remember(record: SatelliteRecord): void {
    const key = placeKey(record);
    const taken = this.#parts.taken(record.address, record.port);
    if (taken !== undefined) this.#log.warn(`satellite ${key} is forgotten: it is ${taken}`);
    else if (this.#remotes.size >= this.max) this.#log.warn(`satellite ${key} is forgotten: only ${this.max} are allowed (maxSatellites)`);
    else if (!this.#remotes.has(key)) {
      const { random, options } = this.#parts;
      // Spread over an interval, so that a hundred are not pinged in one beat.
      this.#add(record).start(Math.round(random() * options.pingIntervalMs));
    }
  }

  /** Takes the record in and writes it; what cannot be written is taken back. */
  async #put(record: SatelliteRecord): Promise<Remote> {
    const before = this.#remotes.get(placeKey(record));
    if (!before) this.#requireShare(record.address);
    if (!before && this.#remotes.size >= this.max)
      throw new RelayError('LIMIT', `${this.max} satellites are registered, as many as the relay takes (maxSatellites); call again later`);
    const recordBefore = before?.record;
    const isSamePath = recordBefore?.path === record.path;
    const remote = before && isSamePath ? before : this.#add(record);
    remote.record = record;
    this.#leaving.delete(remote);
    // Before the write, so that no ping of before drops it meanwhile.
    if (remote === before) remote.welcomeBack();
    try {
      await this.#save();
    } catch (error) {
      this.#log.error(`${remote.name} is not registered: ${reasonOf(error)}`);
      this.#takeBack(remote, record, before, recordBefore);
      if (remote !== before) await remote.abandon();
      throw new RelayError('UNAVAILABLE', 'the registration cannot be kept on disk, the log says why; call again later', { cause: error });
    }
    if (remote !== before) {
      remote.start();
      await before?.abandon();
    }
    return remote;
  }

  #requireOwner(remote: Remote | undefined, credential: Credential | undefined): void {
    const owner = remote?.record.registeredWith;
    if (!remote || !owner || owner.id === credential?.id || !this.#parts.isValidToken(owner)) return;
    throw new RelayError(
      'FORBIDDEN',
      `${remote.name} was registered with a token: present the same one, or unregister it by the token that relay.register answered`,
    );
  }

  /** A place costs nothing but to ask for it, so no other machine may have them all. */
  #requireShare(address: string): void {
    const share = Math.max(MIN_SHARE, Math.ceil(this.max / 4));
    const there = [...this.#remotes.values()].filter(({ record }) => addressBlock(record.address) === addressBlock(address)).length;
    if (!isLoopback(address) && there >= share)
      throw new RelayError('LIMIT', `${share} satellites are registered from your address, as many as one may; unregister one first`);
  }

  /** Undoes a registration, unless another one has taken its place meanwhile. */
  #takeBack(remote: Remote, record: SatelliteRecord, before: Remote | undefined, recordBefore: SatelliteRecord | undefined): void {
    if (remote.record !== record || this.#remotes.get(placeKey(record)) !== remote) return;
    if (before && recordBefore) {
      before.record = recordBefore;
      this.#remotes.set(placeKey(record), before);
    } else this.#remotes.delete(placeKey(record));
  }

  #add(record: SatelliteRecord): Remote {
    const { options, clock, random, carrier } = this.#parts;
    const remote = new Remote(record, {
      ...{ options, clock, random, carrier, log: this.#log },
      isValidToken: this.#parts.isValidToken,
      onGone: (gone, reason) => {
        this.#drop(gone, reason);
      },
    });
    this.#remotes.set(placeKey(record), remote);
    return remote;
  }

  #drop(remote: Remote, reason: string): void {
    if (!this.#remove(remote)) return;
    this.#count.dropped++;
    this.#log.warn(`dropped ${remote.name}: ${clean(reason)}; it may register again`);
    void Promise.all([remote.abandon(), this.#save()]).catch((error: unknown) => {
      this.#log.error(`${remote.name} is dropped, but not forgotten on disk: ${reasonOf(error)}`);
    });
  }

  #remove(remote: Remote): boolean {
    const key = placeKey(remote.record);
    return this.#remotes.get(key) === remote && this.#remotes.delete(key);
  }

  #save(): Promise<void> {
    return this.#file.save(() => toKept(this.#staying().map(({ record }) => record)));
  }

  #staying(): Remote[] {
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

function view({ record, pings }: Remote): SatelliteView {
  const { tokenHash: _tokenHash, registeredWith: _registeredWith, ...shown } = record;
  return { ...shown, pings };
}
