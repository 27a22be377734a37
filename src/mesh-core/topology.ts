/** What a node knows of the mesh: the newest link state of every node, and the shortest paths over the links that both ends list. */
import { AGE_OUT_MS, COMPUTE, MAX_HOPS, MAX_NODES, ORIGINATE, REFRESH_MS, STATES_PER_SECOND } from './limits.ts';
import { EPHEMERAL, isNewer, isSigned, readState, signState, versionOf } from './link-state.ts';
import type { Description, LinkState, Neighbour, SignedState } from './link-state.ts';
import { CapabilityLists, encodeCapabilities } from './capabilities.ts';
import { pathsWithin } from './paths.ts';
import type { Path, Reach } from './paths.ts';
import type { Crypto, Signer } from './seal.ts';
import { Throttle } from './throttle.ts';

/** The version of a node's link state, as two nodes compare what they know. */
export type Version = readonly [id: string, epoch: number, sequence: number];

export interface TopologyParts {
  readonly id: string;
  readonly epoch: number;
  readonly description: Description;
  readonly signer: Signer;
  readonly crypto: Crypto;
}

/** A node to which there is a path now, or none any more. */
export type NodeChange =
  | { readonly state: 'up'; readonly id: string; readonly nick: string }
  /** `left`: it said goodbye. */
  | { readonly state: 'down'; readonly id: string; readonly nick: string; readonly reason: 'left' | 'lost' };

interface Known extends SignedState {
  /** When it arrived. */
  at: number;
}

// The rate of one origin is counted in windows of a second.
const WINDOW_MS = 1000;
// Paths that avoid nodes are computed on demand, and kept until something changes.
const MAX_DETOURS = 256;

export class Topology {
  readonly #parts: TopologyParts;
  readonly #states = new Map<string, Known>();
  // How many link states of an origin came in the present second.
  readonly #rates = new Map<string, { at: number; count: number }>();
  readonly #links = new Map<string, number>();
  /** The long lists of capabilities, which do not travel in link states. */
  readonly lists = new CapabilityLists();
  readonly #originate = new Throttle(ORIGINATE);
  readonly #compute = new Throttle(COMPUTE);
  readonly #detours = new Map<string, ReadonlyMap<string, Path>>();
  #reach: Reach = { paths: new Map(), tooFar: new Set() };
  #description: Description;
  #sequence = 0;
  #isLeaving = false;
  #refreshAt: number;

  constructor(parts: TopologyParts, now: number) {
    this.#parts = parts;
    this.#description = parts.description;
    this.#refreshAt = now;
  }

  /** When {@link tick} has something to do. */
  get wakeAt(): number {
    return Math.min(this.#refreshAt, this.#originate.dueAt, this.#compute.dueAt);
  }

  /** Notes a link that is up, with its cost. */
  linkUp(id: string, cost: number, now: number): void {
    if (this.#links.get(id) === cost) return;
    this.#links.set(id, cost);
    this.#changed(now);
  }

  /** Notes that a link is down. */
  linkDown(id: string, now: number): void {
    if (this.#links.delete(id)) this.#changed(now);
  }

  hasLink(id: string): boolean {
    return this.#links.has(id);
  }

  /** True for a node whose link state is known. */
  knows(id: string): boolean {
    return this.#states.has(id);
  }

  /** True for a node that says that it leaves nothing behind. */
  isEphemeral(id: string): boolean {
    return this.#states.get(id)?.state.capabilities.includes(EPHEMERAL) === true;
  }

  /** Changes what this node says about itself. */
  describe(description: Description, now: number): void {
    this.#description = description;
    this.#originate.request(now);
  }

  /** The last link state of this node, for its neighbours. */
  leave(now: number): Buffer {
    this.#isLeaving = true;
    return this.#sign(now);
  }

  /** Does what is due: returns the own link state if it must be sent, whether paths have changed, and which nodes came or went. */
  tick(now: number): { readonly own: Buffer | undefined; readonly hasNewPaths: boolean; readonly changes: readonly NodeChange[] } {
    const isDue = this.#originate.take(now) || now >= this.#refreshAt;
    const own = isDue && !this.#isLeaving ? this.#sign(now) : undefined;
    if (own) this.#forgetOld(now);
    const hasNewPaths = this.#compute.take(now);
    if (!hasNewPaths) return { own, hasNewPaths, changes: [] };
    const before = this.#reach.paths;
    this.#detours.clear();
    this.#reach = pathsWithin(this.#parts.id, (id) => this.edges(id), MAX_HOPS);
    return { own, hasNewPaths, changes: this.#changesSince(before) };
  }

  #changesSince(before: ReadonlyMap<string, Path>): readonly NodeChange[] {
    const nickOf = (id: string): string => this.#states.get(id)?.state.nick ?? '';
    const reasonOf = (id: string): 'left' | 'lost' => (this.#states.get(id)?.state.isLeaving === true ? 'left' : 'lost');
    const changes: NodeChange[] = [];
    const { paths } = this.#reach;
    for (const id of before.keys()) if (!paths.has(id)) changes.push({ state: 'down', id, nick: nickOf(id), reason: reasonOf(id) });
    for (const id of paths.keys()) if (!before.has(id)) changes.push({ state: 'up', id, nick: nickOf(id) });
    return changes;
  }

  /**
   * Takes the link state of another node. `new` ones are passed on to the other neighbours; `own` is one of this node from before, which is
   * overtaken; `alarm` is one of a later start of this node: its state directory was copied, or an old copy was restored.
   */
  accept(bytes: Buffer, now: number): 'new' | 'known' | 'refused' | 'own' | 'alarm' {
    const signed = this.#readNew(bytes);
    if (signed === 'known' || signed === 'refused') return signed;
    const { state } = signed;
    if (state.id === this.#parts.id) return this.#acceptOwn(signed, now);
    const known = this.#states.get(state.id);
    if (!known && this.#states.size >= MAX_NODES) return 'refused';
    // Only what a node has signed counts against its rate, and takes memory.
    if (!isSigned(signed, this.#parts.crypto) || this.#isTooFrequent(state.id, now)) return 'refused';
    this.#states.set(state.id, { ...this.#withCapabilities(signed), at: now });
    if (!known || !hasSameLinks(known.state, state)) this.#compute.request(now);
    return 'new';
  }

  /** Takes a long list of capabilities; returns the channels that asked for it, or undefined if it is not needed. */
  acceptCapabilities(bytes: Buffer): ReadonlySet<number> | undefined {
    const hash = this.#parts.crypto.hash(bytes);
    const channels = this.lists.add(hash, bytes);
    if (!channels) return undefined;
    for (const [id, known] of this.#states)
      if (known.capabilitiesHash?.equals(hash) === true) this.#states.set(id, { ...this.#withCapabilities(known), at: known.at });
    return channels;
  }

  /** The link state with its capabilities, if they are known; if not, they are wanted from now on. */
  #withCapabilities(signed: SignedState): SignedState {
    const { capabilitiesHash: hash, state } = signed;
    if (!hash || this.lists.want(hash)) return signed;
    return { ...signed, state: { ...state, capabilities: this.lists.get(hash) ?? [] } };
  }

  /** Where a message for `id` goes next; undefined if no path of at most `maxLinks` is known. Never to a node in `avoid`. */
  pathTo(id: string, avoid: readonly string[] = [], maxLinks = MAX_HOPS): Path | undefined {
    const path = this.#reach.paths.get(id);
    if (!path || (path.links <= maxLinks && !avoid.includes(path.hop))) return path;
    const avoided = avoid.filter((one) => one !== id).sort();
    const usual = this.#detour(avoided, MAX_HOPS).get(id);
    const detour = usual && usual.links > maxLinks ? this.#detour(avoided, maxLinks).get(id) : usual;
    return detour && !avoid.includes(detour.hop) ? detour : undefined;
  }

  /** True if there are only paths to it that are longer than a message goes. */
  isTooFar(id: string): boolean {
    return this.#reach.tooFar.has(id);
  }

  #detour(avoided: readonly string[], maxLinks: number): ReadonlyMap<string, Path> {
    const key = `${maxLinks} ${avoided.join()}`;
    let paths = this.#detours.get(key);
    if (!paths) {
      const without = new Set(avoided);
      ({ paths } = pathsWithin(this.#parts.id, (from) => [...this.edges(from)].filter(([to]) => !without.has(to)), maxLinks));
      if (this.#detours.size >= MAX_DETOURS) this.#detours.clear();
      this.#detours.set(key, paths);
    }
    return paths;
  }

  /** The nearest node that offers this; of several the least busy one, or the same one for the same `key`. */
  nearest(capability: string, key: string | undefined): string | undefined {
    let best: { readonly id: string; readonly rank: readonly number[] } | undefined;
    for (const [id, { state }] of this.#states) {
      const cost = this.#reach.paths.get(id)?.cost;
      if (cost === undefined || state.isLeaving || !state.capabilities.includes(capability)) continue;
      const rank = [cost, ...(key === undefined ? [state.load] : []), scoreOf(`${key ?? ''} ${id}`)];
      if (!best || isLess(rank, best.rank)) best = { id, rank };
    }
    return best?.id;
  }

  /** The link states that are known, with this node's own. */
  *states(): Iterable<LinkState> {
    for (const { state } of this.#states.values()) yield state;
  }

  /** The nodes to which there is a path. */
  get reachable(): ReadonlyMap<string, Path> {
    return this.#reach.paths;
  }

  /** The versions of all known link states. */
  versions(): readonly Version[] {
    return [...this.#states.values()].map(({ state: { id, epoch, sequence } }) => [id, epoch, sequence]);
  }

  /** A number that is the same for two nodes that know the same link states. */
  summary(): number {
    let sum = 0;
    for (const { state } of this.#states.values()) sum = (sum ^ scoreOf(`${state.id} ${state.epoch} ${state.sequence}`)) >>> 0;
    return sum;
  }

  /** Compares with what a neighbour knows: the link states that it lacks, and the ids of those that this node lacks. */
  compare(theirs: readonly Version[]): { readonly send: readonly Buffer[]; readonly want: readonly string[] } {
    const versions = new Map(theirs.map(([id, epoch, sequence]) => [id, { epoch, sequence }]));
    const send = [...this.#states.values()].filter(({ state }) => isNewer(state, versions.get(state.id))).map(({ bytes }) => bytes);
    const want = [...versions].filter(([id, version]) => isNewer(version, this.#states.get(id)?.state)).map(([id]) => id);
    return { send, want: want.slice(0, MAX_NODES) };
  }

  /** The link states of these nodes, as far as they are known. */
  wanted(ids: readonly string[]): readonly Buffer[] {
    return ids.flatMap((id) => this.#states.get(id)?.bytes ?? []);
  }

  /** The links of a node that count: those that it lists and whose other end lists it too. Its own links are what this node knows best. */
  protected *edges(id: string): Iterable<readonly [id: string, cost: number]> {
    const neighbours =
      id === this.#parts.id ? this.#links : this.#states.get(id)?.state.neighbours.map((one) => [one.id, one.cost] as const);
    if (!neighbours || this.#states.get(id)?.state.isLeaving === true) return;
    for (const [other, cost] of neighbours) if (this.isListedBy(other, id)) yield [other, cost];
  }

  /** True if the link state of `other` lists a link to `id`. */
  protected isListedBy(other: string, id: string): boolean {
    if (other === this.#parts.id) return this.#links.has(id);
    const state = this.#states.get(other)?.state;
    return state?.isLeaving === false && state.neighbours.some((neighbour) => neighbour.id === id);
  }

  /** Reads a link state. Overridden where many nodes share a process. */
  read(bytes: Buffer): SignedState {
    return readState(bytes, this.#parts.crypto);
  }

  /** Most link states come over several links: only the first copy is read. */
  #readNew(bytes: Buffer): SignedState | 'known' | 'refused' {
    try {
      const version = versionOf(bytes, this.#parts.crypto);
      return isNewer(version, this.#states.get(version.id)?.state) ? this.read(bytes) : 'known';
    } catch {
      return 'refused';
    }
  }

  #acceptOwn(signed: SignedState, now: number): 'known' | 'refused' | 'own' | 'alarm' {
    const { epoch, sequence } = signed.state;
    const own = { epoch: this.#parts.epoch, sequence: this.#sequence };
    if (!isNewer(signed.state, own)) return 'known';
    if (!isSigned(signed, this.#parts.crypto)) return 'refused';
    if (epoch > own.epoch) return 'alarm';
    this.#sequence = sequence;
    this.#originate.request(now);
    return 'own';
  }

  #changed(now: number): void {
    this.#originate.request(now);
    this.#compute.request(now);
  }

  #sign(now: number): Buffer {
    const { id, epoch, signer, crypto } = this.#parts;
    const neighbours = [...this.#links].map(([neighbour, cost]): Neighbour => ({ id: neighbour, cost }));
    const state = { ...this.#description, id, epoch, sequence: ++this.#sequence, isLeaving: this.#isLeaving, neighbours };
    const signed = signState(state, signer, crypto);
    const { capabilitiesHash: hash } = signed;
    if (hash) this.lists.addOwn(hash, encodeCapabilities(state.capabilities), state.capabilities);
    this.#states.set(id, { ...signed, at: now });
    this.#refreshAt = this.#isLeaving ? Infinity : now + REFRESH_MS;
    return signed.bytes;
  }

  #forgetOld(now: number): void {
    for (const [id, { at }] of this.#states) {
      if (now - at <= AGE_OUT_MS) continue;
      this.#states.delete(id);
      this.#rates.delete(id);
      this.#compute.request(now);
    }
    this.lists.retain([...this.#states.values()].flatMap(({ capabilitiesHash }) => capabilitiesHash ?? []));
  }

  #isTooFrequent(id: string, now: number): boolean {
    let rate = this.#rates.get(id);
    if (!rate || now - rate.at >= WINDOW_MS) this.#rates.set(id, (rate = { at: now, count: 0 }));
    return ++rate.count > STATES_PER_SECOND;
  }
}

function hasSameLinks(one: LinkState, other: LinkState): boolean {
  if (one.isLeaving !== other.isLeaving || one.neighbours.length !== other.neighbours.length) return false;
  return one.neighbours.every(({ id, cost }, at) => other.neighbours[at]?.id === id && other.neighbours[at].cost === cost);
}

/** A hash of 32 bits that is spread evenly (FNV-1a with a final mix); not for security. */
function scoreOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 13)) >>> 0;
}

function isLess(one: readonly number[], other: readonly number[]): boolean {
  for (let at = 0; at < one.length; at++) if (one[at] !== other[at]) return (one[at] ?? 0) < (other[at] ?? 0);
  return false;
}
