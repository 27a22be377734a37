/** Posts calls to a server over HTTP, on one kept-alive connection. */
import type { TLSSocket } from 'node:tls';
import { RelayError, reasonOf } from '../core/core.ts';
import { canonicalAddress, isLoopback, isUnspecified } from '../message/message.ts';
import { XmlRpcClient, answerHeadOf } from '../client/internal.ts';
import type { ClientTlsOptions } from '../client/internal.ts';
import type { ServerAddress } from './server-address.ts';
import type { LinkTransport } from './link.ts';
import type { ServerAnswer } from './verdict.ts';

// An answer to `notify` has 120 bytes; a much larger one is an attack or a mistake.
const MAX_RESPONSE_BYTES = 1024 * 1024;

/** How long an answer may take, and how large it may be. */
export interface HttpLimits {
  readonly timeoutMs: number;
  /** Default 1 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** Exchanges at once, each on a connection of its own. Default 1. */
  readonly maxConnections?: number | undefined;
}

/** An answer over HTTP, with what it was read from. */
export interface HttpAnswer {
  readonly answer: ServerAnswer;
  /** The body; undefined if it was not read as XML-RPC. */
  readonly bytes: Uint8Array | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

export class HttpLinkTransport implements LinkTransport {
  readonly canBatch = true;
  // The promise, so that two posts at once share one connection.
  #client: Promise<XmlRpcClient> | undefined;
  // The client of the last post.
  #connected: XmlRpcClient | undefined;
  #isClosed = false;

  /**
   * `listenAddress` returns the canonical address that our server is bound to; it is called at each connection, since links are made
   * before the server. `tls` returns our certificate and the authorities for a new connection, the same object as long as nothing changed.
   */
  constructor(
    private readonly server: ServerAddress,
    private readonly listenAddress: () => string,
    private readonly limits: HttpLimits,
    private readonly tls?: () => ClientTlsOptions,
  ) {}

  async post(body: Uint8Array): Promise<ServerAnswer> {
    return (await this.exchange(body)).answer;
  }

  /** Posts a serialized call with further headers; rejects like {@link post}. */
  async exchange(body: Uint8Array, headers?: Readonly<Record<string, string>>, signal?: AbortSignal): Promise<HttpAnswer> {
    this.#client ??= this.#connect();
    const client = await this.#client;
    this.#connected = client;
    try {
      const { response, bytes, headers: received } = await client.exchange(body, { headers, signal });
      return { answer: response, bytes, headers: received };
    } catch (error) {
      const head = answerHeadOf(error);
      if (head) return { answer: { kind: 'other', ...head, reason: reasonOf(error) }, bytes: undefined, headers: {} };
      throw error;
    }
  }

  /** The TLS socket of the newest connection; undefined if there is none, or it is a plain one. */
  get tlsSocket(): TLSSocket | undefined {
    return this.#connected?.tlsSocket;
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
      timeoutMs: this.limits.timeoutMs,
      maxResponseBytes: this.limits.maxResponseBytes ?? MAX_RESPONSE_BYTES,
      maxConnections: this.limits.maxConnections,
      tls: this.tls,
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
