/** A configured peer as the mesh dials it: proves both ends by the hello of its link, then calls it over connections of the mesh's own. */
import { RelayError } from '../core/core.ts';
import type { HttpLimits, HttpLinkTransport } from '../links/links.ts';
import { serialiseCall } from '../xmlrpc/xmlrpc.ts';
import { PULL_MS } from './channels.ts';
import { MAX_PUSHES } from './frame-queue.ts';
import type { ChannelCall, Dialled, Greeted } from './channels.ts';
import type { OutgoingSession, ProvenTransport } from './proven-transport.ts';

export interface DialledPeerParts {
  readonly name: string;
  readonly transport: ProvenTransport;
  /** Makes a connection to it. */
  readonly connect: (limits: HttpLimits) => HttpLinkTransport;
  readonly timeoutMs: number;
}

// Frames of one request, of which one message alone may have 4 MiB, in base64.
const MAX_ANSWER_BYTES = 16 * 2 ** 20;

/** See the head of this file. */
export class DialledPeer implements Dialled {
  readonly #parts: DialledPeerParts;
  // A pull waits for long, and must not keep pushes waiting.
  readonly #pushes: HttpLinkTransport;
  readonly #pulls: HttpLinkTransport;

  constructor(parts: DialledPeerParts) {
    this.#parts = parts;
    const { connect, timeoutMs } = parts;
    this.#pushes = connect({ timeoutMs, maxResponseBytes: MAX_ANSWER_BYTES, maxConnections: MAX_PUSHES });
    this.#pulls = connect({ timeoutMs: PULL_MS + timeoutMs, maxResponseBytes: MAX_ANSWER_BYTES });
  }

  async greet(): Promise<Greeted | undefined> {
    const { name, transport } = this.#parts;
    // It may have approved this relay since the last hello.
    if (transport.proof.session === 'proven' && transport.proof.answer !== 'trusted') transport.renew();
    const greeting = await transport.hello();
    if (greeting.kind === 'answer') throw new RelayError('TRANSPORT', `${name} cannot answer now`);
    if (greeting.kind === 'classic' || !greeting.session.isMesh) return undefined;
    const { session } = greeting;
    if (session.answer !== 'trusted') throw new RelayError('TRANSPORT', `${name} does not count this relay as a peer: ${session.reason}`);
    const { node: id, epoch, instance } = session;
    return { peer: { id, epoch, instance }, call: this.#callIn(session) };
  }

  #callIn(session: OutgoingSession): ChannelCall {
    return async (method, params, signal) => {
      const over = method === 'relay.pull' ? this.#pulls : this.#pushes;
      try {
        return await this.#parts.transport.callIn(session, over, serialiseCall(method, params), signal);
      } catch (error) {
        await over.reset();
        throw error;
      }
    };
  }

  async close(): Promise<void> {
    await Promise.all([this.#pushes.close(), this.#pulls.close()]);
  }
}
