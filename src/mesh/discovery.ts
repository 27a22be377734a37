/**
 * Discovery: announces this relay on the local network and remembers which others do. Those that can prove that they belong here are
 * linked; the others wait for an operator.
 */
import { RateLimitedLog, RelayError, clean, nextDelay, reasonOf, serverName } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import { isNodeId, pairingCode } from '../identity/identity.ts';
import type { OwnNode } from '../identity/identity.ts';
import { canonicalAddress, hostPort, isLoopback, isUnspecified } from '../message/message.ts';
import { Mdns } from './mdns.ts';
import type { Sighting } from './mdns.ts';
import type { MeshOptions } from './options.ts';
import type { PeerEvent } from './peer-events.ts';
import type { Peering } from './peering.ts';
import type { PeerProof } from './proven-transport.ts';

/** The links to peers, as far as discovery makes and ends them. */
interface PeerLinks {
  pair(url: URL, node: string): Promise<PeerProof & { readonly isNew: boolean }>;
  linksOf(node: string): readonly { readonly name: string; readonly isFailing: boolean }[];
  dismiss(urls: readonly string[]): Promise<void>;
}

export interface DiscoveryParts {
  readonly options: Pick<MeshOptions, 'discoveryPort' | 'discoveryIntervalMs'> & { readonly host: string | readonly string[] };
  readonly node: Pick<OwnNode, 'id' | 'nick'>;
  /** The version of this relay, which is announced. */
  readonly version: string;
  readonly mesh: PeerLinks;
  readonly peering: Pick<Peering, 'mode' | 'isTrusted'>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly events: EventSink<PeerEvent>;
  readonly log: Log;
}

/** A relay that announces itself on the network. Nobody has checked what it says. */
export interface Find {
  readonly node: string;
  readonly nick: string;
  readonly version: string;
  /** What both sides of a pairing show. */
  readonly code: string;
  /** Where it was found, the latest first. */
  readonly urls: readonly string[];
}

/** One announcement: a node at an address. */
interface Announced {
  readonly node: string;
  readonly nick: string;
  readonly version: string;
  readonly url: string;
  readonly address: string;
  /** The number of the last look that it answered. */
  lastLook: number;
  /** Attempts to link it that failed, and when the next one is due. */
  failures: number;
  dueAt: number;
}

// A mesh has at most 256 links per node.
const MAX_FINDS = 256;
// Strangers cause these. Dozens of relays may run on one machine.
const MAX_FROM_ONE = 32;
const MAX_URLS_OF_NODE = 4;
// How many new ones are reported between two looks: somebody who comes and goes must not fill the events.
const MAX_NEW_PER_LOOK = 128;
// Packets get lost.
const MISSED_LOOKS = 3;
// A relay that was found while it starts answers soon; one that is refused is asked every ten minutes.
const LINK_BACKOFF = { firstMs: 1_000, factor: 3, maxMs: 600_000, jitter: 0.5 };
const MAX_PORT = 65_535;
// A key and its value together take at most 255 bytes, and a label of a name 63.
const MAX_NICK_BYTES = 200;
const MAX_LABEL_NICK_BYTES = 48;
const SHORT_ID = 8;

export class Discovery {
  readonly #parts: DiscoveryParts;
  readonly #log: Log;
  readonly #ignored: RateLimitedLog;
  /** By node and URL, the latest last. */
  readonly #announced = new Map<string, Announced>();
  /** The URLs that were linked because of an announcement, by node. */
  readonly #linked = new Map<string, string>();
  #opening: Promise<Mdns | undefined> | undefined;
  #look = 0;
  #newSinceLook = 0;
  #isLinking = false;
  #isStopped = false;
  #cancelLook: (() => void) | undefined;
  #cancelLinking: (() => void) | undefined;

  constructor(parts: DiscoveryParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#ignored = new RateLimitedLog(parts.log, parts.clock);
  }

  /** Announces the relay that listens on this port, and begins to look for others, in the background. */
  start(scheme: 'http' | 'https', port: number): void {
    this.#opening ??= this.#open(scheme, port).catch((error: unknown) => {
      const { discoveryPort } = this.#parts.options;
      // Peers that are configured must be reached without it.
      this.#log.error(`discovery does not work, since UDP port ${discoveryPort} cannot be used: ${reasonOf(error)}`);
      return undefined;
    });
  }

  async #open(scheme: 'http' | 'https', port: number): Promise<Mdns> {
    const { options, node, version, clock } = this.#parts;
    const { id, nick } = node;
    const address = interfaceOf(options.host);
    const mdns = await Mdns.open({
      ...{ port: options.discoveryPort, address, clock, log: this.#log },
      onUp: (sighting) => {
        this.#onUp(sighting);
      },
      onDown: (sighting) => {
        this.#onDown(sighting);
      },
    });
    const short = id.slice(0, SHORT_ID);
    mdns.announce({
      name: `${cut(nick, MAX_LABEL_NICK_BYTES)} ${short}`,
      host: `co2-${short}.local`,
      port,
      txt: { node: id, nick: cut(nick, MAX_NICK_BYTES), version, scheme },
    });
    this.#log.info(`discovery: announcing ${clean(nick, 64)} ${address === undefined ? 'on all networks' : `on ${address}`}`);
    if (address !== undefined && isLoopback(address))
      this.#log.warn(`discovery reaches this machine only, since the relay listens on ${address}; set host to an address of the network`);
    this.#lookAgain(mdns);
    return mdns;
  }

  #lookAgain(mdns: Mdns): void {
    if (this.#isStopped) return;
    this.#look++;
    this.#newSinceLook = 0;
    for (const [key, one] of this.#announced) if (one.lastLook < this.#look - MISSED_LOOKS) this.#remove(key, one, 'expired');
    this.#dismissSecondLinks();
    mdns.look();
    this.#linkDue();
    this.#cancelLook = this.#parts.clock.after(this.#parts.options.discoveryIntervalMs, () => {
      this.#lookAgain(mdns);
    });
  }

  #onUp(sighting: Sighting): void {
    const { node, clock, events } = this.#parts;
    const seen = announcedBy(sighting);
    if (!seen || seen.node === node.id || this.#isStopped) return;
    const key = `${seen.node} ${seen.url}`;
    const known = this.#announced.get(key);
    if (!known && !this.#hasRoomFor(seen)) {
      this.#ignored.warn(`discovery: ignored what ${seen.address} announces: too many relays are announced`);
      return;
    }
    this.#announced.delete(key);
    const { failures, dueAt } = known ?? { failures: 0, dueAt: clock.now() };
    this.#announced.set(key, { ...seen, lastLook: this.#look, failures, dueAt });
    if (!known) {
      this.#newSinceLook++;
      const { node: id, nick, url: peer, version } = seen;
      events.emit({ type: 'peer.found', node: id, nick, peer, version, code: pairingCode(node.id, id) });
    }
    this.#linkDue();
  }

  #hasRoomFor({ node, address }: Pick<Announced, 'node' | 'address'>): boolean {
    const all = [...this.#announced.values()];
    return (
      all.length < MAX_FINDS &&
      this.#newSinceLook < MAX_NEW_PER_LOOK &&
      all.filter((one) => one.address === address).length < MAX_FROM_ONE &&
      all.filter((one) => one.node === node).length < MAX_URLS_OF_NODE
    );
  }

  #onDown(sighting: Sighting): void {
    const seen = announcedBy(sighting);
    const key = seen && `${seen.node} ${seen.url}`;
    const known = key === undefined ? undefined : this.#announced.get(key);
    if (key !== undefined && known) this.#remove(key, known, 'left');
  }

  #remove(key: string, { node, nick, url: peer }: Announced, reason: 'left' | 'expired'): void {
    this.#announced.delete(key);
    this.#parts.events.emit({ type: 'peer.vanished', node, nick, peer, reason });
  }

  /** The relays that were found and are not linked. */
  finds(): readonly Find[] {
    const { node: own, mesh } = this.#parts;
    const finds = new Map<string, Find>();
    for (const { node, nick, version, url } of [...this.#announced.values()].reverse()) {
      const { urls = [] } = finds.get(node) ?? {};
      finds.set(node, { nick, version, ...finds.get(node), node, code: pairingCode(own.id, node), urls: [...urls, url] });
    }
    return [...finds.values()].filter(({ node }) => mesh.linksOf(node).length === 0);
  }

  /**
   * Links the relay of this node id or nick, if it proves to be what was announced. Rejects with a RelayError: INVALID_PARAMS if it was not
   * found, or the reason why it cannot be linked.
   */
  async pair(name: string): Promise<PeerProof & { readonly isNew: boolean; readonly url: string }> {
    const { node, urls } = this.#find(name);
    let failure: unknown;
    for (const url of urls) {
      try {
        const proof = await this.#parts.mesh.pair(new URL(url), node);
        this.#linked.delete(node);
        return { ...proof, url };
      } catch (error) {
        failure ??= error;
      }
    }
    throw failure;
  }

  #find(name: string): Find {
    const finds = this.finds();
    const shown = clean(name, 64);
    const list = (some: readonly Find[]): string => some.map(({ nick, node }) => `${nick} (${node})`).join(', ');
    const found = finds.find(({ node }) => node === name);
    const same = finds.filter(({ nick }) => nick === name);
    if (!found && same.length > 1)
      throw new RelayError('INVALID_PARAMS', `${same.length} relays call themselves '${shown}': name one by its node id: ${list(same)}`);
    const [only = found] = found ? [found] : same;
    if (only) return only;
    const others = finds.length === 0 ? 'none' : list(finds.slice(0, 10));
    throw new RelayError('INVALID_PARAMS', `no relay '${shown}' was found on the network that is not linked already (found: ${others})`);
  }

  /** Links what is due, one after the other. */
  #linkDue(): void {
    if (this.#isLinking || this.#isStopped) return;
    this.#isLinking = true;
    void this.#linkAll().finally(() => {
      this.#isLinking = false;
      this.#linkLater();
    });
  }

  async #linkAll(): Promise<void> {
    const { clock, random, mesh } = this.#parts;
    for (;;) {
      const due = this.#toLink().find(({ dueAt }) => dueAt <= clock.now());
      if (!due || this.#isStopped) return;
      const { node, url } = due;
      const before = this.#linked.get(node);
      try {
        const { isNew } = await mesh.pair(new URL(url), node);
        if (isNew) this.#linked.set(node, url);
        // It has another address now.
        if (isNew && before !== undefined && before !== url) await mesh.dismiss([serverName(new URL(before))]);
      } catch (error) {
        this.#log.debug(`discovery: ${url} is not linked: ${reasonOf(error)}`);
        due.dueAt = clock.now() + nextDelay(due.failures++, LINK_BACKOFF, random);
      }
    }
  }

  #linkLater(): void {
    this.#cancelLinking?.();
    const next = Math.min(...this.#toLink().map(({ dueAt }) => dueAt));
    if (this.#isStopped || next === Infinity) return;
    this.#cancelLinking = this.#parts.clock.after(Math.max(0, next - this.#parts.clock.now()), () => {
      this.#linkDue();
    });
  }

  #toLink(): readonly Announced[] {
    const { mesh } = this.#parts;
    return [...this.#announced.values()].filter(
      (one) => this.#mayLink(one) && mesh.linksOf(one.node).every(({ name, isFailing }) => isFailing && name !== one.url),
    );
  }

  /** True if the relay can prove that it is a peer, so that it may be asked to. */
  #mayLink({ node, url }: Announced): boolean {
    const { peering } = this.#parts;
    switch (peering.mode) {
      case 'clusterSecret':
        return true;
      case 'ca':
        return url.startsWith('https:');
      case 'pin':
      case 'pair':
        // It was linked before, and may have another address now.
        return peering.isTrusted(node);
      case 'insecure':
        return false;
    }
  }

  /** Ends the links to nodes that have another one, which was configured, for instance, and was not proven yet. */
  #dismissSecondLinks(): void {
    const { mesh } = this.#parts;
    for (const [node, url] of this.#linked) {
      if (!mesh.linksOf(node).some(({ name, isFailing }) => name !== url && !isFailing)) continue;
      this.#linked.delete(node);
      void mesh.dismiss([url]);
    }
  }

  /** Says goodbye, and closes the socket. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelLook?.();
    this.#cancelLinking?.();
    const opening = this.#opening;
    this.#opening = undefined;
    await (await opening)?.stop();
  }
}

/** Reads an announcement; undefined if it is none of a relay. The URL has the address where it comes from, whatever else it says. */
function announcedBy({ address, port, txt }: Sighting): Pick<Announced, 'node' | 'nick' | 'version' | 'url' | 'address'> | undefined {
  const { node, nick = '', version = '', scheme } = txt;
  if (!isNodeId(node) || (scheme !== 'http' && scheme !== 'https')) return undefined;
  if (!Number.isInteger(port) || port < 1 || port > MAX_PORT) return undefined;
  return {
    ...{ node, address },
    nick: clean(nick, 64),
    version: /^[\w.+-]{1,32}$/.test(version) ? version : '',
    url: serverName(new URL(`${scheme}://${hostPort(address, port)}`)),
  };
}

/** The address of the interface to use: that on which the relay listens; undefined for all. */
function interfaceOf(host: string | readonly string[]): string | undefined {
  const addresses = [host].flat().map(canonicalAddress);
  const v4 = addresses.filter((address) => address !== undefined && !address.includes(':'));
  if (addresses.some((address) => address === undefined || isUnspecified(address)) || v4.length === 0) return undefined;
  return v4.find((address) => address !== undefined && !isLoopback(address)) ?? v4[0];
}

/** `text` cut to at most `maxBytes`, at a character. */
function cut(text: string, maxBytes: number): string {
  let end = '';
  for (const char of text) {
    if (Buffer.byteLength(end + char) > maxBytes) break;
    end += char;
  }
  return end;
}
