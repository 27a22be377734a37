/** The sessions that other relays began: recognizes their requests, and knows which of them are those of peers. */
import type { SessionCall } from '../access/access.ts';
import { RelayError } from '../core/core.ts';
import { answerHeader, isBodyOf, isFromSession, readRequestHeader } from '../identity/identity.ts';
import type { RequestClaim, SessionKeys } from '../identity/identity.ts';

/** A session as a hello has made it. */
export interface NewSession {
  readonly keys: SessionKeys;
  readonly node: string;
  readonly epoch: number;
  readonly instance: string;
  readonly hostIds: readonly string[];
  /** True if the node showed a credential in its hello that makes it a peer whatever is stored. */
  readonly hasCredential: boolean;
}

interface Session extends NewSession {
  isPeer: boolean;
  /** Recognizes requests that were here before. */
  readonly requests: SeenRequests;
}

// Requests of one session may overtake each other: it has a connection for each of a few purposes.
const WINDOW = 64;

/** The numbers of the requests of a session: one that is far behind the greatest, or was here, is refused. */
class SeenRequests {
  #greatest = 0;
  // Of those in the window behind it.
  readonly #seen = new Set<number>();

  has(number: number): boolean {
    return number <= this.#greatest - WINDOW || this.#seen.has(number);
  }

  add(number: number): void {
    if (number >= this.#greatest + WINDOW) this.#seen.clear();
    else for (let at = this.#greatest + 1; at <= number; at++) this.#seen.delete(at - WINDOW);
    this.#greatest = Math.max(this.#greatest, number);
    this.#seen.add(number);
  }
}

// A mesh has at most 256 links per node; four sessions each leave room for restarts.
const MAX_SESSIONS = 1024;
// Strangers can cause these: some hundred bytes each. The oldest one gives way.
const MAX_STRANGERS = 128;
// One node may have a link for each of its addresses in `peers`.
const MAX_SESSIONS_OF_NODE = 4;

export class Sessions {
  readonly #sessions = new Map<string, Session>();

  /** `isTrusted` says whether a node is a peer without a credential. */
  constructor(private readonly isTrusted: (node: string) => boolean) {}

  /** Adds a session; a new start of a node replaces all sessions of the one before. */
  add(added: NewSession): void {
    const { node, epoch, instance, keys } = added;
    const session = { ...added, isPeer: this.#isPeer(added), requests: new SeenRequests() };
    const same = [...this.#sessions.values()].filter((one) => one.node === node);
    const current = same.filter((one) => one.epoch === epoch && one.instance === instance);
    const kept = new Set(current.slice(-(MAX_SESSIONS_OF_NODE - 1)));
    for (const one of same) if (!kept.has(one)) this.#sessions.delete(one.keys.id);
    const kind = [...this.#sessions.values()].filter(({ isPeer }) => isPeer === session.isPeer);
    const [oldest] = kind;
    if (oldest && kind.length >= (session.isPeer ? MAX_SESSIONS : MAX_STRANGERS)) this.#sessions.delete(oldest.keys.id);
    this.#sessions.set(keys.id, session);
  }

  /** The session that made the header of a request. Throws a RelayError NOT_AUTHENTICATED. */
  of(header: string): SessionCall {
    const claim = readRequestHeader(header);
    const session = claim && this.#sessions.get(claim.session);
    if (!claim || !session) throw ended('it is not known here, for this relay was restarted or the node was forgotten');
    if (!isFromSession(session.keys, claim)) throw ended('the request is not from its holder');
    if (session.requests.has(claim.number)) throw ended('the request was here before');
    return new SessionRequest(session, claim);
  }

  /** True if the node has a session. */
  has(node: string): boolean {
    return [...this.#sessions.values()].some((session) => session.node === node);
  }

  /** True if the node has a session as a peer. */
  hasPeer(node: string): boolean {
    return [...this.#sessions.values()].some((session) => session.node === node && session.isPeer);
  }

  /** Applies changed trust. */
  refresh(): void {
    for (const session of this.#sessions.values()) session.isPeer = this.#isPeer(session);
  }

  /** Ends all sessions of a node. */
  end(node: string): void {
    for (const session of [...this.#sessions.values()]) if (session.node === node) this.#sessions.delete(session.keys.id);
  }

  #isPeer({ node, hasCredential }: NewSession): boolean {
    return hasCredential || this.isTrusted(node);
  }
}

/** One request of a session. */
class SessionRequest implements SessionCall {
  readonly node: string;
  readonly epoch: number;
  readonly instance: string;
  readonly isPeer: boolean;
  readonly hostIds: readonly string[];
  #isAccepted = false;

  constructor(
    private readonly session: Session,
    private readonly claim: RequestClaim,
  ) {
    ({ node: this.node, epoch: this.epoch, instance: this.instance, isPeer: this.isPeer, hostIds: this.hostIds } = session);
  }

  accept(body: Uint8Array): void {
    const { claim, session } = this;
    if (session.requests.has(claim.number)) throw ended('the request was here before');
    if (!isBodyOf(claim, body)) throw ended('the body is not the one that was sent');
    session.requests.add(claim.number);
    this.#isAccepted = true;
  }

  seal(answer: Uint8Array): string | undefined {
    return this.#isAccepted ? answerHeader(this.session.keys, this.claim.number, answer) : undefined;
  }
}

function ended(reason: string): RelayError {
  return new RelayError('NOT_AUTHENTICATED', `the session between the relays ended: ${reason}; say relay.hello again`);
}
