/** Which nodes are trusted: keys pinned at the first contact, nodes that an operator approved, and those that wait for it. */
import { RelayError, clean, serverName } from '../core/core.ts';
import { canonicalAddress } from '../message/message.ts';
import { isDict } from '../values/values.ts';
import type { StateFile } from '../state/state.ts';
import { EPHEMERAL_FLAG } from './descriptor.ts';
import type { Descriptor } from './descriptor.ts';
import { isNodeId } from './node-key.ts';
import type { TrustMode } from './options.ts';
import { pairingCode } from './hello.ts';

/** What is remembered of a node. */
export interface KnownNode {
  readonly id: string;
  readonly nick: string;
  /** The public key, base64. */
  readonly pub: string;
  /** The highest epoch seen, and the instance that had it. */
  readonly epoch: number;
  readonly instance: string;
  /** True if an operator approved it. */
  readonly isApproved: boolean;
  /** When it became known, ISO 8601. */
  readonly since: string;
}

/** A node that waits for approval. */
export interface PendingNode {
  readonly id: string;
  readonly nick: string;
  readonly pub: string;
  readonly epoch: number;
  readonly instance: string;
  /** What both sides show. */
  readonly code: string;
  /** Where it called from; empty if this relay called it. */
  readonly address: string;
  /** The URLs that it says it has. */
  readonly addrs: readonly string[];
  /** True if its key ends with its process. */
  readonly isEphemeral: boolean;
}

/** A node whose key ends with its process. It is in memory only. */
interface Visitor {
  readonly node: KnownNode;
  /** Since when it has no link; undefined while it has one. */
  idleSince: number | undefined;
}

/** A node that has proved its key, and what else it showed. */
export interface Proven {
  readonly node: Descriptor;
  readonly instance: string;
  readonly knowsSecret: boolean;
  /** The ids in a client or server certificate that `tls.caFile` vouches for. */
  readonly certified: readonly string[];
}

/** How a proven node is trusted. */
export type TrustVerdict =
  | { readonly kind: 'trusted'; readonly how: TrustKind }
  /** It has the rights of its address. */
  | { readonly kind: 'known'; readonly reason: string }
  | { readonly kind: 'pending'; readonly reason: string; readonly pending: PendingNode }
  /** `copy`: it is an older or second instance of a node that is known. */
  | { readonly kind: 'refused'; readonly reason: string; readonly copy?: boolean };

/** Why a node is trusted. */
export type TrustKind = 'pinned' | 'approved' | 'cluster secret' | 'certificate' | 'insecure';

interface Stored {
  readonly nodes: readonly KnownNode[];
  /** Node by URL. */
  readonly pins: Readonly<Record<string, string>>;
  /** URLs that were added by `relay.pair` and `relay.trust`. */
  readonly links: readonly string[];
}

// Known nodes are peers, approved ones and former ones; a mesh has at most 1,024 nodes.
const MAX_NODES = 4096;
// Strangers cause entries in this list; the oldest one gives way.
const MAX_PENDING = 64;
const MAX_LINKS = 256;
// The one without a link for the longest time gives way.
const MAX_VISITORS = 1024;
// An ephemeral node that said no goodbye may come back until then.
const VISITOR_MS = 5 * 60_000;
/** Bytes of the file: 4,096 nodes of about 400 bytes each. */
export const MAX_TRUST_BYTES = 4 * 1024 * 1024;

export interface TrustParts {
  readonly mode: TrustMode;
  /** The id of this relay. */
  readonly self: string;
  /** Where the decisions are stored. Undefined: in memory only. */
  readonly file: StateFile | undefined;
  /** ms since 1970. */
  readonly date: () => number;
}

export class Trust {
  readonly #parts: TrustParts;
  readonly #nodes = new Map<string, KnownNode>();
  /** Those that are ephemeral, which are never stored. The one whose link has changed last is the last one. */
  readonly #visitors = new Map<string, Visitor>();
  readonly #pins = new Map<string, string>();
  readonly #links = new Set<string>();
  readonly #pending = new Map<string, PendingNode>();

  constructor(parts: TrustParts) {
    this.#parts = parts;
  }

  get mode(): TrustMode {
    return this.#parts.mode;
  }

  /** URLs of relays that were added while the relay ran. */
  get links(): readonly string[] {
    return [...this.#links];
  }

  /**
   * Reads what earlier starts stored. Returns the reason if the file is damaged: it is renamed, and nothing is known. Rejects with a
   * RelayError STATE_DIRECTORY.
   */
  async load(): Promise<string | undefined> {
    const found = await this.#parts.file?.load(readStored);
    if (found === undefined || found.kind === 'nothing') return undefined;
    if (found.kind === 'damaged')
      return `${found.reason}; it is kept as ${found.movedTo}, and peers are pinned again at their next contact`;
    for (const node of found.value.nodes) this.#nodes.set(node.id, node);
    for (const [url, id] of Object.entries(found.value.pins)) this.#pins.set(url, id);
    for (const url of found.value.links) this.#links.add(url);
    return undefined;
  }

  /** Forgets the pins of URLs that are not configured any more: a relay that is no peer any more has no rights. */
  keepPins(isListed: (url: string) => boolean): void {
    for (const url of [...this.#pins.keys()]) if (!isListed(url)) this.#pins.delete(url);
  }

  /** The node that proved itself at this URL before. */
  pinOf(url: string): string | undefined {
    return this.#pins.get(url);
  }

  node(id: string): KnownNode | undefined {
    return this.#nodes.get(id) ?? this.#visitorOf(id)?.node;
  }

  /** The link to a neighbour is up, or down. An ephemeral one that has left is forgotten at once, and one that is lost after a while. */
  readonly visitorLinked = (id: string, change: 'up' | 'lost' | 'left'): void => {
    const visitor = this.#visitors.get(id);
    if (!visitor) return;
    this.#visitors.delete(id);
    if (change === 'left') return;
    visitor.idleSince = change === 'up' ? undefined : this.#parts.date();
    this.#visitors.set(id, visitor);
  };

  #visitorOf(id: string): Visitor | undefined {
    this.#dropVisitors();
    return this.#visitors.get(id);
  }

  #dropVisitors(): void {
    const now = this.#parts.date();
    for (const [id, { idleSince }] of this.#visitors) {
      const isOver = idleSince !== undefined && (this.#visitors.size > MAX_VISITORS || now - idleSince >= VISITOR_MS);
      if (isOver) this.#visitors.delete(id);
    }
  }

  /** True for a node that is pinned or approved; false for one that has to show a credential in each hello. */
  isTrusted(id: string): boolean {
    if (this.node(id)?.isApproved === true) return true;
    if (this.mode !== 'pin' && this.mode !== 'pair') return false;
    for (const pinned of this.#pins.values()) if (pinned === id) return true;
    return false;
  }

  /** Decides about a node that called this relay from `address`, and remembers its start. */
  meet(proven: Proven, address: string): TrustVerdict {
    const { node, instance } = proven;
    const copy = this.#copyOf(proven);
    if (copy !== undefined) return { kind: 'refused', reason: copy, copy: true };
    const credential = this.#credential(proven);
    if (credential !== undefined && 'refused' in credential) return { kind: 'refused', reason: credential.refused };
    if (credential !== undefined) {
      this.#remember(proven, isEphemeral(node));
      return { kind: 'trusted', how: credential.how };
    }
    if (this.isTrusted(node.id)) {
      const how = this.node(node.id)?.isApproved === true ? 'approved' : 'pinned';
      this.#remember(proven, isEphemeral(node));
      return { kind: 'trusted', how };
    }
    if (this.mode === 'pin')
      return { kind: 'known', reason: `node ${node.id} is not among the peers of this relay, or this relay has not reached it yet` };
    const code = pairingCode(this.#parts.self, node.id);
    const { id, epoch, addrs } = node;
    const about = { id, nick: nickOf(node), pub: node.pub.toString('base64'), epoch, instance };
    const pending = { ...about, code, address, addrs, isEphemeral: isEphemeral(node) };
    this.#pending.delete(id);
    this.#pending.set(id, pending);
    for (const oldest of this.#pending.keys()) if (this.#pending.size > MAX_PENDING) this.#pending.delete(oldest);
    return {
      kind: 'pending',
      pending,
      reason: `waiting for approval: compare the code ${code} on that relay, then run co2 peers trust ${id} there`,
    };
  }

  /**
   * Decides about the node that answered at the URL of a peer, and pins it at the first contact. `isNew`: it is pinned now. Refusals are
   * RelayErrors FORBIDDEN.
   */
  reach(url: string, proven: Proven): { readonly how: TrustKind; readonly isNew: boolean; readonly before: string | undefined } {
    const { node } = proven;
    const before = this.#pins.get(url);
    const copy = this.#copyOf(proven);
    if (copy !== undefined) throw new RelayError('FORBIDDEN', copy);
    const credential = this.#credential(proven);
    if (credential !== undefined && 'refused' in credential) throw new RelayError('FORBIDDEN', credential.refused);
    const mayChange = credential !== undefined;
    if (before !== undefined && before !== node.id && !mayChange) throw new RelayError('FORBIDDEN', changedKey(url, before, node.id));
    this.#pins.set(url, node.id);
    this.#remember(proven, false);
    return { how: credential?.how ?? 'pinned', isNew: before !== node.id, before };
  }

  /**
   * Approves a node that waits for it, or is known. Returns it with the URLs that it says it has, as far as they are at the address that it
   * called from: others may be those of somebody else, such as a service of this machine; an ephemeral one, which is not called, has none.
   * Throws a RelayError INVALID_PARAMS if it is neither.
   */
  approve(id: string): KnownNode & { readonly addrs: readonly string[] } {
    const pending = this.#pending.get(id);
    const known = this.node(id);
    if (pending === undefined && known === undefined) {
      const waiting = [...this.#pending]
        .slice(0, 10)
        .map(([key, { nick }]) => `${key} (${clean(nick, 60)})`)
        .join(', ');
      const remedy = [...this.#pending.values()].some(({ nick }) => nick === id)
        ? 'anybody may take this nick, so name the node by its id, and compare its code'
        : "it has to call this relay first, which needs trust: 'pair' here";
      const text = `node '${id.slice(0, 40)}' does not wait for approval (waiting: ${waiting === '' ? 'none' : waiting}); ${remedy}`;
      throw new RelayError('INVALID_PARAMS', text);
    }
    this.#pending.delete(id);
    const since = known?.since ?? new Date(this.#parts.date()).toISOString();
    const { nick, pub, epoch, instance } = pending ?? known ?? never();
    const node = { id, nick, pub, epoch, instance, isApproved: true, since };
    // One that is stored is approved for good, whatever it says of itself now.
    if (!this.#nodes.has(id) && (pending?.isEphemeral === true || this.#visitors.has(id))) {
      this.#welcome(node);
      return { ...node, addrs: [] };
    }
    this.#set(node);
    return { ...node, addrs: pending?.addrs.filter((url) => isAt(url, pending.address)) ?? [] };
  }

  /**
   * Forgets a node, or what was pinned or linked at a URL. Returns its id, which is empty for a link whose node never proved itself, and
   * its URLs. Throws a RelayError INVALID_PARAMS if it is not known.
   */
  forget(name: string): { readonly id: string; readonly urls: readonly string[] } {
    const wanted = URL.canParse(name) ? serverName(new URL(name)) : name;
    const id = this.#pins.get(wanted) ?? wanted;
    const isKnown = this.#nodes.has(id) || this.#visitors.has(id) || this.#pending.has(id);
    if (!isKnown && !this.#unlink(wanted)) {
      throw new RelayError(
        'INVALID_PARAMS',
        `no node or URL '${name.slice(0, 300)}' is known; co2 peers list --nodes shows those that are`,
      );
    }
    this.#nodes.delete(id);
    this.#visitors.delete(id);
    this.#pending.delete(id);
    if (!isKnown) return { id: '', urls: [wanted] };
    const urls = [...this.#pins].filter(([, pinned]) => pinned === id).map(([url]) => url);
    for (const url of urls) {
      this.#pins.delete(url);
      this.#unlink(url);
    }
    return { id, urls };
  }

  /** Links are stored with credentials and path, and pins by the name of the server. Returns false if there is no such link. */
  #unlink(name: string): boolean {
    const links = [...this.#links].filter((link) => URL.canParse(link) && serverName(new URL(link)) === name);
    for (const link of links) this.#links.delete(link);
    return links.length > 0;
  }

  /** Remembers a URL that is linked in addition to the configured ones. Throws a RelayError LIMIT. */
  link(url: string): void {
    if (this.#links.size >= MAX_LINKS && !this.#links.has(url))
      throw new RelayError('LIMIT', `${MAX_LINKS} relays were added already; list further ones in peers`);
    this.#links.add(url);
  }

  /** Known nodes, and those that wait for approval. */
  list(): { readonly known: readonly (KnownNode & { readonly urls: readonly string[] })[]; readonly pending: readonly PendingNode[] } {
    this.#dropVisitors();
    const visitors = [...this.#visitors.values()].map(({ node }) => node);
    const known = [...this.#nodes.values(), ...visitors].map((node) => ({
      ...node,
      urls: [...this.#pins].filter(([, id]) => id === node.id).map(([url]) => url),
    }));
    return { known, pending: [...this.#pending.values()] };
  }

  /** Stores the decisions; resolves once they are durable. Rejects with a RelayError STATE_DIRECTORY. */
  async save(): Promise<void> {
    await this.#parts.file?.save((): Stored => ({
      nodes: [...this.#nodes.values()],
      pins: Object.fromEntries(this.#pins),
      links: [...this.#links],
    }));
  }

  /** Why this must be a copy of a known node, or an older start of it; undefined if it is not. */
  #copyOf({ node, instance }: Proven): string | undefined {
    const known = this.node(node.id);
    if (known === undefined || node.epoch > known.epoch) return undefined;
    if (node.epoch === known.epoch && instance === known.instance) return undefined;
    const which = node.epoch < known.epoch ? `start ${known.epoch} was seen` : 'another instance of the same start was seen';
    return `two relays have the identity ${node.id}: this one says start ${node.epoch}, but ${which}; its state directory is a copy or was restored from a backup: give one of them a new identity by deleting node.key and epoch in its state directory`;
  }

  /** Undefined where the mode asks for no credential. */
  #credential({ node, knowsSecret, certified }: Proven): { readonly how: TrustKind } | { readonly refused: string } | undefined {
    switch (this.mode) {
      case 'pin':
      case 'pair':
        return undefined;
      case 'insecure':
        return { how: 'insecure' };
      case 'clusterSecret':
        if (knowsSecret) return { how: 'cluster secret' };
        return { refused: `node ${node.id} does not know the cluster secret; give both relays the same clusterSecretFile` };
      case 'ca':
        if (certified.includes(node.id)) return { how: 'certificate' };
        return {
          refused: `node ${node.id} shows no certificate of tls.caFile with the name URI:co2:${node.id} (it shows: ${certified.length === 0 ? 'none' : certified.join(', ')})`,
        };
    }
  }

  /** A node that was stored before is stored again, whatever it says of itself now. */
  #remember({ node, instance }: Proven, isVisitor: boolean): void {
    const known = this.node(node.id);
    const since = known?.since ?? new Date(this.#parts.date()).toISOString();
    const { id, epoch } = node;
    const remembered = {
      ...{ id, nick: nickOf(node), epoch, instance, since },
      pub: node.pub.toString('base64'),
      isApproved: known?.isApproved ?? false,
    };
    if (isVisitor && !this.#nodes.has(id)) this.#welcome(remembered);
    else {
      this.#visitors.delete(id);
      this.#set(remembered);
    }
  }

  #welcome(node: KnownNode): void {
    const visitor = this.#visitors.get(node.id);
    this.#visitors.delete(node.id);
    this.#visitors.set(node.id, { node, idleSince: visitor ? visitor.idleSince : this.#parts.date() });
    this.#dropVisitors();
  }

  #set(node: KnownNode): void {
    // Those that were met last are last.
    this.#nodes.delete(node.id);
    if (this.#nodes.size >= MAX_NODES) this.#forgetOldest();
    this.#nodes.set(node.id, node);
  }

  /**
   * Forgets the node that was met longest ago, of those that show a credential each time: a controller, for instance, comes as a new node
   * each time. Throws a RelayError LIMIT if there is none.
   */
  #forgetOldest(): void {
    const pinned = new Set(this.#pins.values());
    for (const { id, isApproved } of this.#nodes.values()) {
      if (isApproved || pinned.has(id)) continue;
      this.#nodes.delete(id);
      return;
    }
    throw new RelayError('LIMIT', `${MAX_NODES} nodes are known already; remove some with co2 peers forget`);
  }
}

function isEphemeral({ flags }: Descriptor): boolean {
  return flags.includes(EPHEMERAL_FLAG);
}

/** What a node calls itself, for terminals and pages: strangers choose it. */
function nickOf({ nick }: Descriptor): string {
  return clean(nick, 64);
}

/** What to do about a peer with another key. */
function changedKey(url: string, before: string, now: string): string {
  return `peer ${url} has another key: it was node ${before}, and is node ${now} now. If its state directory was replaced, run co2 peers forget ${before} here; otherwise somebody else answers at its address`;
}

function never(): never {
  throw new Error('unreachable');
}

/** Checks the stored decisions. Throws an Error that says what is wrong. */
function readStored(value: unknown): Stored {
  if (!isDict(value)) throw new Error('it is not an object');
  const { nodes, pins, links } = value as Readonly<Record<string, unknown>>;
  if (!Array.isArray(nodes) || !nodes.every(isKnownNode)) throw new Error('nodes is not a list of nodes');
  if (!isPins(pins)) throw new Error('pins is not an object of node ids');
  if (!Array.isArray(links) || !links.every((url) => typeof url === 'string' && URL.canParse(url))) throw new Error('links are not URLs');
  return { nodes, pins, links: links as readonly string[] };
}

function isPins(value: unknown): value is Stored['pins'] {
  return isDict(value) && Object.values(value).every(isNodeId);
}

function isKnownNode(value: unknown): value is KnownNode {
  if (!isDict(value)) return false;
  const { id, nick, pub, epoch, instance, isApproved, since } = value as Readonly<Record<string, unknown>>;
  return (
    isNodeId(id) &&
    [nick, pub, instance, since].every((text) => typeof text === 'string') &&
    Number.isInteger(epoch) &&
    typeof isApproved === 'boolean'
  );
}

/** True for a URL of a relay at this address (canonical). */
function isAt(text: string, address: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.username !== '' || url.password !== '') return false;
  return canonicalAddress(url.hostname) === address;
}
