/** Posts calls to a server over HTTP, on one kept-alive connection. */
import { RelayError, reasonOf } from '../core/core.ts';
import { canonicalAddress, isLoopback, isUnspecified } from '../message/message.ts';
import { XmlRpcClient, answerHeadOf } from '../client/internal.ts';
import type { ServerAddress } from './server-address.ts';
import type { LinkTransport } from './link.ts';
import type { ServerAnswer } from './verdict.ts';

// An answer to `notify` has 120 bytes; a much larger one is an attack or a mistake.
const MAX_RESPONSE_BYTES = 1024 * 1024;

export class HttpLinkTransport implements LinkTransport {
  readonly canBatch = true;
  // The promise, so that two posts at once share one connection.
  #client: Promise<XmlRpcClient> | undefined;
  #isClosed = false;

  /**
   * `listenAddress` returns the canonical address that our server is bound to; it is called at each connection, since links are made
   * before the server.
   */
  constructor(
    private readonly server: ServerAddress,
    private readonly listenAddress: () => string,
    private readonly timeoutMs: number,
  ) {}

  async post(body: Uint8Array): Promise<ServerAnswer> {
    this.#client ??= this.#connect();
    const client = await this.#client;
    try {
      return await client.post(body);
    } catch (error) {
      const head = answerHeadOf(error);
      if (head) return { kind: 'other', ...head, reason: reasonOf(error) };
      throw error;
    }
  }

  async reset(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    // A connection that failed needs no close.
    await (await client?.catch(() => undefined))?.close();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.reset();
  }

  async #connect(): Promise<XmlRpcClient> {
    // The name may resolve to another address since the last connection.
    await this.server.refresh();
    let isFresh = true;
    // The client reconnects by itself, to the same addresses whose calls we trust.
    const lookup = async (): Promise<readonly string[]> => {
      if (!isFresh) await this.server.refresh();
      isFresh = false;
      return this.server.addresses;
    };
    if (this.#isClosed) throw new RelayError('TRANSPORT', `${this.server.name}: the link is closed`);
    return new XmlRpcClient(this.server.url, {
      localAddress: this.#localAddress(),
      timeoutMs: this.timeoutMs,
      maxResponseBytes: MAX_RESPONSE_BYTES,
      lookup,
    });
  }

  /**
   * A peer compares the address that it sees with the one in our host_id, so we connect from the address that we listen on, if it can
   * reach the peer.
   */
  #localAddress(): string | undefined {
    const listenAddress = this.listenAddress();
    const [target] = this.server.addresses;
    if (target === undefined || isUnspecified(listenAddress)) return undefined;
    if (isLoopback(listenAddress) !== isLoopback(target)) return undefined;
    const sameFamily = listenAddress.includes(':') === target.includes(':');
    return sameFamily ? canonicalAddress(listenAddress) : undefined;
  }
}
