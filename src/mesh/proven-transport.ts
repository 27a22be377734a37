/** Posts calls to a peer in a proven session: says hello first, signs each request, and accepts only answers that the peer has signed. */
import { RelayError, clean } from '../core/core.ts';
import { SESSION_HEADER, isAnswerOf, requestHeader } from '../identity/identity.ts';
import type { SessionKeys } from '../identity/identity.ts';
import { PASSING_FAULTS, isSuccess } from '../links/links.ts';
import type { HttpAnswer, HttpLinkTransport, LinkTransport, ServerAnswer } from '../links/links.ts';
import type { Value } from '../values/values.ts';

/** How a peer stands with its identity. */
export interface PeerProof {
  /** `proven`: all requests and answers are signed. `classic`: it cannot prove anything. `none`: no hello has succeeded yet. */
  readonly session: 'proven' | 'classic' | 'none';
  /** Id of the node; empty if it is not known. */
  readonly node: string;
  readonly nick: string;
  /** Whether the peer trusts this relay: its answer to our hello; empty without a session. */
  readonly answer: string;
  /** Why it does not; empty if it does. */
  readonly reason: string;
  readonly hostIds: readonly string[];
  /** True if it speaks the mesh: `relay.push` and `relay.pull`. */
  readonly isMesh: boolean;
}

/** A session that the peer has accepted. */
export interface OutgoingSession extends PeerProof {
  readonly session: 'proven';
  readonly keys: SessionKeys;
  /** The number of the peer's start. */
  readonly epoch: number;
  /** Which start of the peer it is. */
  readonly instance: string;
}

/** The outcome of a hello. `answer`: the server answered for itself or a proxy, and is to be asked again later. */
export type Greeting =
  | { readonly kind: 'proven'; readonly session: OutgoingSession }
  | { readonly kind: 'classic' }
  | { readonly kind: 'answer'; readonly answer: ServerAnswer };

/** Says hello over this transport. Rejects with a RelayError if the peer refuses, or is not the one that it was before. */
export type Greet = (transport: HttpLinkTransport) => Promise<Greeting>;

const UNKNOWN: PeerProof = { session: 'none', node: '', nick: '', answer: '', reason: '', hostIds: [], isMesh: false };
const CLASSIC: PeerProof = { ...UNKNOWN, session: 'classic' };
// A session that the server does not know is renewed; a second refusal is a failure.
const MAX_HELLOS = 2;
const NOT_AUTHENTICATED = 401;

export class ProvenTransport implements LinkTransport {
  readonly canBatch = true;
  #greeting: Promise<Greeting> | undefined;
  #noted: Greeting | undefined;
  #proof: PeerProof = UNKNOWN;
  // Numbers of the requests of a session.
  #number = 0;

  constructor(
    private readonly inner: HttpLinkTransport,
    private readonly name: string,
    private readonly greet: Greet,
  ) {}

  get proof(): PeerProof {
    return this.#proof;
  }

  async post(body: Uint8Array): Promise<ServerAnswer> {
    for (let hello = 1; ; hello++) {
      const greeting = await this.hello();
      if (greeting.kind === 'answer') return greeting.answer;
      if (greeting.kind === 'classic') return this.inner.post(body);
      // Replaced while we waited for it.
      if (greeting !== this.#noted) continue;
      const { keys } = greeting.session;
      const number = ++this.#number;
      const answer = await this.inner.exchange(body, { [SESSION_HEADER]: requestHeader(keys, number, body) });
      if (isProvenAnswer(answer, keys, number)) return answer.answer;
      if (answer.answer.kind === 'fault' && answer.answer.code === NOT_AUTHENTICATED && hello < MAX_HELLOS) {
        // It was restarted, for instance.
        this.renew();
        continue;
      }
      if (!needsProof(answer.answer)) return answer.answer;
      throw new RelayError('TRANSPORT', `${this.name}: the answer does not prove that it comes from node ${greeting.session.node}`);
    }
  }

  /**
   * Calls a method in this session over another connection. Rejects with a RelayError TRANSPORT, also if the session has ended, the
   * answer is not proven, or is a fault.
   */
  async callIn(session: OutgoingSession, over: HttpLinkTransport, body: Uint8Array, signal: AbortSignal): Promise<Value> {
    if (this.#proof !== session) throw new RelayError('TRANSPORT', `${this.name}: the session has ended`);
    const number = ++this.#number;
    const answer = await over.exchange(body, { [SESSION_HEADER]: requestHeader(session.keys, number, body) }, signal);
    const { answer: result } = answer;
    const isProven = isProvenAnswer(answer, session.keys, number);
    // It was restarted, for instance.
    if (result.kind === 'fault' && result.code === NOT_AUTHENTICATED && !isProven && this.#proof === session) this.renew();
    if (result.kind === 'value' && isProven) return result.value;
    if (result.kind === 'value')
      throw new RelayError('TRANSPORT', `${this.name}: the answer does not prove that it comes from node ${session.node}`);
    const text = result.kind === 'fault' ? result.text : result.reason;
    throw new RelayError('TRANSPORT', `${this.name}: ${clean(text, 300)}`);
  }

  /** Says hello unless there is a session; concurrent calls share one hello. */
  async hello(): Promise<Greeting> {
    const greeting = (this.#greeting ??= this.greet(this.inner));
    try {
      const result = await greeting;
      // The first that waited notes the result. A hello that was replaced meanwhile counts for its caller only.
      if (this.#greeting === greeting && this.#noted !== result) this.#note(result);
      return result;
    } catch (error) {
      if (this.#greeting === greeting) this.#greeting = undefined;
      throw error;
    }
  }

  #note(greeting: Greeting): void {
    this.#noted = greeting;
    if (greeting.kind === 'proven') [this.#proof, this.#number] = [greeting.session, 0];
    else if (greeting.kind === 'classic') this.#proof = CLASSIC;
    else this.#greeting = undefined;
  }

  /** Makes the next post say hello again. */
  renew(): void {
    this.#greeting = undefined;
    this.#proof = { ...this.#proof, session: 'none', answer: '', reason: '' };
  }

  /** A session outlives its connection. A classic peer may have been replaced by a newer relay. */
  async reset(): Promise<void> {
    if (this.#proof.session === 'classic') this.renew();
    await this.inner.reset();
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}

function isProvenAnswer({ bytes, headers }: HttpAnswer, keys: SessionKeys, number: number): boolean {
  const header = headers[SESSION_HEADER];
  return bytes !== undefined && typeof header === 'string' && isAnswerOf(keys, number, bytes, header);
}

/**
 * True for an answer that settles a dict: with a false one, somebody else on the network could make a dict lost. One that means "not now"
 * only delays it.
 */
function needsProof(answer: ServerAnswer): boolean {
  if (answer.kind === 'fault') return !PASSING_FAULTS.has(answer.code);
  // With a status of success, a dict counts as accepted, whatever else the answer says.
  return answer.kind === 'value' || isSuccess(answer.status);
}
