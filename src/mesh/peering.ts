/**
 * Who the other relays are: answers and says `relay.hello`, keeps the sessions that follow, and decides by the store of trusted nodes which
 * of them are peers.
 */
import { RateLimits } from '../access/access.ts';
import type { Principal, SessionCall } from '../access/access.ts';
import { RelayError, SILENT, clean, reasonOf } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import {
  agree,
  answerOnWire,
  EXPORTER_BYTES,
  EXPORTER_LABEL,
  HELLO_VERSION,
  MESH_FLAG,
  isProven,
  knowsSecret,
  nodesIn,
  openHello,
  pairingCode,
  proofOnWire,
  readAnswer,
  readSide,
  sideOnWire,
} from '../identity/identity.ts';
import type {
  Agreed,
  HelloAnswer,
  HelloSide,
  KnownNode,
  OwnNode,
  PendingNode,
  Proven,
  SessionKeys,
  Trust,
  TrustMode,
} from '../identity/identity.ts';
import { NO_METHOD_STATUSES, PASSING_FAULTS, isSuccess } from '../links/links.ts';
import type { HttpLinkTransport, ServerAnswer } from '../links/links.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { serialiseCall } from '../xmlrpc/xmlrpc.ts';
import type { PeerEvent } from './peer-events.ts';
import type { Greeting } from './proven-transport.ts';
import { Sessions } from './sessions.ts';

export interface PeeringParts {
  readonly node: OwnNode;
  readonly trust: Trust;
  readonly clock: Clock;
  readonly events: EventSink<PeerEvent>;
  readonly log: Pick<Log, 'error' | 'warn'>;
  /** Says hello to the configured peer with one of these host_ids, if it has never been reached. Never rejects. */
  readonly reachPeer: (hostIds: readonly string[]) => Promise<void>;
  /** Makes the links to this node, which trusts this relay now, say hello again if it did not before. */
  readonly onTrusted: (node: string) => void;
}

/** A hello whose second call has not come yet. */
interface HalfHello {
  readonly side: HelloSide;
  readonly agreed: Agreed;
  readonly at: number;
}

const MAX_HALF_HELLOS = 256;
const HALF_HELLO_MS = 10_000;
// The two calls of a hello cost about 0.7 ms: a machine with dozens of relays may restart, and a stranger takes less than 1 %
// of a core.
const HELLO_RATE = { perSecond: 10, burst: 100 };
// Instances that were reported as copies already.
const MAX_REPORTED = 1000;
// Two relays that start together take a second or two, and longer on a busy machine.
const UNLISTED_MS = 10_000;
const NO_EXPORTER = Buffer.alloc(0);
const REFUSING_FAULTS: ReadonlySet<number> = new Set([401, 403, -32602]);

export class Peering {
  readonly #parts: PeeringParts;
  readonly #sessions: Sessions;
  readonly #halfHellos = new Map<string, HalfHello>();
  readonly #limits: RateLimits;
  /** Why nodes are copied, until their next hello is answered with it. */
  readonly #copies = new Map<string, string>();
  readonly #reported = new Set<string>();
  /** Which node alone may answer at a URL at its first contact. */
  readonly #expected = new Map<string, string>();
  /** Cancels the report about a peer that does not trust us, by URL. */
  readonly #unlisted = new Map<string, () => void>();

  constructor(parts: PeeringParts) {
    this.#parts = parts;
    // All callers count as strangers: see hello().
    const rates = { anonymous: HELLO_RATE, local: HELLO_RATE, peer: HELLO_RATE, satellite: HELLO_RATE, token: HELLO_RATE };
    this.#limits = new RateLimits(rates, parts.clock, SILENT);
    this.#sessions = new Sessions((node) => parts.trust.isTrusted(node));
  }

  /** True if a peer that cannot prove anything is trusted by its address. */
  get acceptsClassic(): boolean {
    return this.#parts.trust.mode === 'pin' || this.#parts.trust.mode === 'pair';
  }

  /** True for a node that is a peer without a credential: it is pinned, or was approved. */
  isTrusted(node: string): boolean {
    return this.#parts.trust.isTrusted(node);
  }

  /** How nodes become peers. */
  get mode(): TrustMode {
    return this.#parts.trust.mode;
  }

  /** The node that the relay at this URL has proved to be before; undefined if it has not. */
  pinOf(url: string): string | undefined {
    return this.#parts.trust.pinOf(url);
  }

  /** True if the relay at this URL has proved its key before. */
  isPinned(url: string): boolean {
    return this.pinOf(url) !== undefined;
  }

  /**
   * Answers `relay.hello`: the first call with our half and proof, the second with what we decided. Throws RelayErrors: INVALID_PARAMS,
   * NOT_AUTHENTICATED for a wrong proof, RATE_LIMITED.
   */
  async hello(dict: Dict, caller: Principal): Promise<Sendable> {
    this.#limits.take({ ...caller, role: { kind: 'anonymous' } });
    return dict.proof === undefined ? this.#answerFirst(dict, caller) : this.#answerSecond(dict, caller);
  }

  #answerFirst(dict: Dict, { channel }: Principal): Sendable {
    const { self } = this.#parts.node;
    const side = readSide(dict);
    if (side.instance === self.instance) throw new RelayError('FORBIDDEN', 'relay.hello: this relay has called itself');
    const own = openHello(self);
    const exporter = channel?.exporter();
    const agreed = agree(side, own.own, own, exporter ?? NO_EXPORTER);
    this.#keepHalf(own.own.nonce, { side, agreed, at: this.#parts.clock.now() });
    return { ...sideOnWire(own.own), bound: exporter !== undefined, ...proofOnWire(self, 'responder', agreed.transcript) };
  }

  #keepHalf(nonce: Buffer, half: HalfHello): void {
    for (const [key, { at }] of this.#halfHellos) {
      if (this.#halfHellos.size < MAX_HALF_HELLOS && half.at - at < HALF_HELLO_MS) break;
      this.#halfHellos.delete(key);
    }
    this.#halfHellos.set(nonce.toString('hex'), half);
  }

  async #answerSecond(dict: Dict, caller: Principal): Promise<Sendable> {
    const { clock, node, trust } = this.#parts;
    if (dict.v !== HELLO_VERSION || !Buffer.isBuffer(dict.hello))
      throw new RelayError('INVALID_PARAMS', 'relay.hello: hello is not the nonce of the first answer, base64');
    const key = dict.hello.toString('hex');
    const half = this.#halfHellos.get(key);
    this.#halfHellos.delete(key);
    if (!half || clock.now() - half.at >= HALF_HELLO_MS)
      throw new RelayError(
        'NOT_AUTHENTICATED',
        'relay.hello: no hello with this nonce is open (each takes one proof, within 10 s); begin again',
      );
    const { side, agreed } = half;
    if (!isProven(dict, 'initiator', side.node, agreed.transcript)) {
      const reason = `the proof is not that of node ${side.node.id} for this hello`;
      this.#refused(caller.address, side.node.id, reason);
      throw new RelayError('NOT_AUTHENTICATED', `relay.hello: ${reason}`);
    }
    const secret = knowsSecret(dict, 'initiator', node.self.secret, agreed.transcript);
    const proven: Proven = { node: side.node, instance: side.instance, knowsSecret: secret, certified: caller.channel?.nodes() ?? [] };
    if (side.node.id === node.id) {
      const reason = this.#ownCopy();
      this.#alarm(proven, caller.address, reason);
      return answerOnWire({ answer: 'refused', reason, copied: reason }, agreed.keys);
    }
    // A configured peer that called before we reached it: it is pinned where the configuration says that it is, not where it calls from.
    if (this.acceptsClassic && !trust.isTrusted(side.node.id)) await this.#parts.reachPeer(side.node.hostIds);
    const answer = this.#decide(proven, caller.address, agreed.keys);
    if (trust.isTrusted(side.node.id) || answer.answer === 'trusted') await this.#save();
    return answerOnWire(answer, agreed.keys);
  }

  #decide(proven: Proven, address: string, keys: SessionKeys): HelloAnswer {
    const { trust, events } = this.#parts;
    const { id, nick, epoch, hostIds } = proven.node;
    const { instance } = proven;
    const verdict = trust.meet(proven, address);
    if (verdict.kind === 'refused') {
      if (verdict.copy === true) this.#onCopy(proven, address, verdict.reason);
      else this.#refused(address, id, verdict.reason);
      return { answer: 'refused', reason: verdict.reason, copied: verdict.copy === true ? verdict.reason : '' };
    }
    const isTrusted = verdict.kind === 'trusted';
    const hasCredential = isTrusted && verdict.how !== 'pinned' && verdict.how !== 'approved';
    this.#sessions.add({ keys, node: id, epoch, instance, hostIds, hasCredential });
    // It has pinned us before it called.
    if (isTrusted) this.#parts.onTrusted(id);
    if (isTrusted) events.emit({ type: 'peer.proven', peer: address, node: id, nick: clean(nick, 64), how: verdict.how });
    else if (verdict.kind === 'pending')
      events.emit({ type: 'peer.pending', node: id, nick: clean(nick, 64), address, code: verdict.pending.code });
    const copied = this.#copies.get(id) ?? '';
    this.#copies.delete(id);
    return { answer: verdict.kind, reason: isTrusted ? '' : verdict.reason, copied };
  }

  /** The session that made the header of a request. Throws a RelayError NOT_AUTHENTICATED. */
  sessionOf(header: string): SessionCall {
    return this.#sessions.of(header);
  }

  /**
   * Says hello to the relay at this URL, and pins its key at the first contact. Rejects with a RelayError TRANSPORT if it is not the one
   * that it was before, does not prove its key, or refuses us.
   */
  async greet(url: string, transport: HttpLinkTransport): Promise<Greeting> {
    const { self } = this.#parts.node;
    const own = openHello(self);
    const answer = await transport.post(serialiseCall('relay.hello', [sideOnWire(own.own)]));
    const first = helloIn(answer);
    if (!first) return this.#withoutHello(url, answer);
    try {
      const side = readSide(first);
      const tls = transport.tlsSocket;
      const exporter = first.bound === true ? tls?.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)) : NO_EXPORTER;
      if (exporter === undefined) throw new RelayError('FORBIDDEN', 'it says that it is reached by TLS, but this connection is not');
      if (side.nonce.equals(own.own.nonce) || side.instance === self.instance)
        throw new RelayError('FORBIDDEN', 'it is this relay itself, or somebody who returns what this relay says');
      const agreed = agree(own.own, side, own, exporter);
      if (!isProven(first, 'responder', side.node, agreed.transcript))
        throw new RelayError('FORBIDDEN', `the proof is not that of node ${side.node.id} for this hello`);
      const secret = knowsSecret(first, 'responder', self.secret, agreed.transcript);
      const certified = tls?.authorized === true ? nodesIn(tls.getPeerCertificate().subjectaltname) : [];
      const proven: Proven = { node: side.node, instance: side.instance, knowsSecret: secret, certified };
      if (side.node.id === self.key.id) {
        this.#alarm(proven, url, this.#ownCopy());
        throw new RelayError('FORBIDDEN', this.#ownCopy());
      }
      const expected = this.#expected.get(url);
      if (expected !== undefined && expected !== side.node.id)
        throw new RelayError('FORBIDDEN', `it is node ${side.node.id}, but was announced as node ${expected}`);
      await this.#reach(url, proven);
      const second = { v: HELLO_VERSION, hello: side.nonce, ...proofOnWire(self, 'initiator', agreed.transcript) };
      const answered = await transport.post(serialiseCall('relay.hello', [second]));
      return this.#finish(url, proven, agreed.keys, answered);
    } catch (error) {
      if (!RelayError.is(error) || error.code === 'TRANSPORT' || error.code === 'TIMEOUT') throw error;
      this.#refused(url, nodeIn(first), error.message);
      throw new RelayError('TRANSPORT', `${url}: ${error.message}`, { cause: error });
    }
  }

  /** Runs `contact`, during which only this node is accepted at the URL. */
  async expecting<T>(url: string, node: string, contact: () => Promise<T>): Promise<T> {
    this.#expected.set(url, node);
    try {
      return await contact();
    } finally {
      this.#expected.delete(url);
    }
  }

  /** Pins the node that proved itself at the URL, or checks it against the pin. Throws a RelayError FORBIDDEN. */
  async #reach(url: string, proven: Proven): Promise<void> {
    const { trust, events } = this.#parts;
    const { id, nick } = proven.node;
    const { how, isNew, before } = trust.reach(url, proven);
    if (isNew) events.emit({ type: 'peer.pinned', peer: url, node: id, nick: clean(nick, 64), how, before });
    events.emit({ type: 'peer.proven', peer: url, node: id, nick: clean(nick, 64), how });
    this.#sessions.refresh();
    await this.#save();
  }

  #finish(url: string, { node, instance }: Proven, keys: SessionKeys, answer: ServerAnswer): Greeting {
    if (answer.kind !== 'value') {
      if (isPassing(answer)) return { kind: 'answer', answer };
      throw new RelayError('FORBIDDEN', `it does not accept our proof (${textOf(answer)})`);
    }
    const decided = readAnswer(answer.value, keys);
    if (!decided) throw new RelayError('FORBIDDEN', 'its answer to our proof is not signed by it');
    const { events, node: own } = this.#parts;
    const { id, hostIds, epoch, flags } = node;
    const nick = clean(node.nick, 64);
    if (decided.copied !== '')
      events.emit({ type: 'peer.copied', node: own.id, nick: own.nick, peer: url, reason: clean(decided.copied, 500) });
    if (decided.answer === 'refused') throw new RelayError('FORBIDDEN', `it refuses this relay: ${clean(decided.reason, 500)}`);
    const reason = clean(decided.reason, 500);
    this.#reportUnlisted(url, decided.answer === 'trusted' ? undefined : { type: 'peer.unlisted', peer: url, node: id, nick, reason });
    const proof = {
      session: 'proven',
      node: id,
      nick,
      answer: decided.answer,
      reason,
      hostIds,
      isMesh: flags.includes(MESH_FLAG),
    } as const;
    return { kind: 'proven', session: { ...proof, keys, epoch, instance } };
  }

  /** Reports that a peer does not trust us, unless that changes soon: of two relays that start together one is reached first. */
  #reportUnlisted(url: string, event: PeerEvent | undefined): void {
    this.#unlisted.get(url)?.();
    this.#unlisted.delete(url);
    if (!event) return;
    const cancel = this.#parts.clock.after(UNLISTED_MS, () => {
      this.#unlisted.delete(url);
      this.#parts.events.emit(event);
    });
    this.#unlisted.set(url, cancel);
  }

  stop(): void {
    for (const cancel of this.#unlisted.values()) cancel();
    this.#unlisted.clear();
  }

  /** The server does not know `relay.hello`, or cannot answer now. A relay that has proved its key before never counts as classic. */
  #withoutHello(url: string, answer: ServerAnswer): Greeting {
    const { trust, events } = this.#parts;
    if (isPassing(answer)) return { kind: 'answer', answer };
    const before = trust.pinOf(url);
    const what = `it does not answer relay.hello as a relay does (${textOf(answer)})`;
    const refuse = (reason: string): never => {
      this.#refused(url, before ?? '', reason);
      throw new RelayError('TRANSPORT', `${url}: ${reason}`);
    };
    if (answer.kind === 'fault' && REFUSING_FAULTS.has(answer.code)) refuse(`it refuses relay.hello: ${textOf(answer)}`);
    if (before !== undefined)
      refuse(
        `${what}, but has proved to be node ${before} before; if it was replaced by an older relay, run co2 peers forget ${before} here`,
      );
    if (!this.acceptsClassic)
      refuse(`${what}, which trust: '${trust.mode}' requires; write { url, classic: true } in peers if it is to be trusted by its address`);
    events.emit({ type: 'peer.classic', peer: url });
    return { kind: 'classic' };
  }

  /** Approves a node that waits for it. Throws a RelayError INVALID_PARAMS. */
  async approve(id: string): Promise<KnownNode & { readonly addrs: readonly string[] }> {
    const { trust, events } = this.#parts;
    const node = trust.approve(id);
    this.#sessions.refresh();
    await trust.save();
    events.emit({ type: 'peer.approved', node: id, nick: clean(node.nick, 64) });
    return node;
  }

  /**
   * Forgets a node and ends its sessions. Returns the URLs at which it was pinned or linked; the id is empty for a link whose node never
   * proved itself. Throws a RelayError INVALID_PARAMS.
   */
  async forget(name: string): Promise<{ readonly id: string; readonly urls: readonly string[] }> {
    const { trust, events } = this.#parts;
    const forgotten = trust.forget(name);
    if (forgotten.id !== '') this.#sessions.end(forgotten.id);
    this.#sessions.refresh();
    await trust.save();
    if (forgotten.id !== '') events.emit({ type: 'peer.forgotten', node: forgotten.id });
    return forgotten;
  }

  /** Remembers that this URL is a peer, in addition to the configured ones. */
  async link(url: string): Promise<void> {
    this.#parts.trust.link(url);
    await this.#parts.trust.save();
  }

  /** Everything that is known of other nodes, and of this one. */
  status(): PeeringStatus {
    const { node, trust } = this.#parts;
    const { known, pending } = trust.list();
    return {
      ...{ node: node.id, nick: node.nick, epoch: node.epoch, mode: trust.mode },
      known: known.map((one) => ({
        ...one,
        isTrusted: trust.isTrusted(one.id) || this.#sessions.hasPeer(one.id),
        isInSession: this.#sessions.has(one.id),
        code: pairingCode(node.id, one.id),
      })),
      pending,
    };
  }

  #onCopy(proven: Proven, address: string, reason: string): void {
    const { id } = proven.node;
    const isFirst = !this.#reported.has(`${id} ${proven.instance}`);
    this.#alarm(proven, address, reason);
    if (!isFirst) return;
    if (this.#reported.size >= MAX_REPORTED) this.#reported.clear();
    this.#reported.add(`${id} ${proven.instance}`);
    // The other one learns about it from the answer to its next hello.
    this.#copies.set(id, reason);
    this.#sessions.end(id);
  }

  #alarm({ node: { id, nick } }: Proven, peer: string, reason: string): void {
    this.#parts.events.emit({ type: 'peer.copied', node: id, nick: clean(nick, 64), peer, reason });
  }

  #ownCopy(): string {
    return `two relays have the identity ${this.#parts.node.id}, this one and the other: one state directory is a copy; give one of them a new identity by deleting node.key and epoch there`;
  }

  #refused(peer: string, node: string, reason: string): void {
    this.#parts.events.emit({ type: 'peer.refused', peer, node, reason });
  }

  async #save(): Promise<void> {
    try {
      await this.#parts.trust.save();
    } catch (error) {
      // The decision holds for this start; a full disk must not cut a relay off.
      this.#parts.log.error(`trusted nodes are not stored: ${reasonOf(error)}`);
    }
  }
}

/** What is known of nodes. */
export interface PeeringStatus {
  readonly node: string;
  readonly nick: string;
  readonly epoch: number;
  readonly mode: string;
  readonly known: readonly (KnownNode & {
    readonly urls: readonly string[];
    readonly isTrusted: boolean;
    readonly isInSession: boolean;
    readonly code: string;
  })[];
  readonly pending: readonly PendingNode[];
}

function helloIn(answer: ServerAnswer): Dict | undefined {
  return answer.kind === 'value' && isDict(answer.value) && Buffer.isBuffer(answer.value.proof) ? answer.value : undefined;
}

function nodeIn({ node }: Dict): string {
  const id: Value | undefined = isDict(node) ? node.id : undefined;
  return typeof id === 'string' ? clean(id, 64) : '';
}

function isPassing(answer: ServerAnswer): boolean {
  if (answer.kind === 'fault') return PASSING_FAULTS.has(answer.code);
  return answer.kind === 'other' && !isSuccess(answer.status) && !NO_METHOD_STATUSES.has(answer.status);
}

function textOf(answer: ServerAnswer): string {
  if (answer.kind === 'fault') return `fault ${answer.code}: ${clean(answer.text, 300)}`;
  return answer.kind === 'other' ? clean(answer.reason, 300) : 'another result';
}
