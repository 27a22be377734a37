/** Address of an XML-RPC server: its URL, a name for logs, and the addresses that its host name resolves to. */
import { lookup } from 'node:dns/promises';
import { RelayError, reasonOf, serverName } from '../core/core.ts';
import { canonicalAddress, isLoopback } from '../message/message.ts';

/** Resolves a host name to its addresses. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

/** The system's resolver. */
export const resolveBySystem: Resolve = async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address);

export class ServerAddress {
  readonly url: URL;
  /** The URL without credentials. */
  readonly name: string;
  readonly port: number;
  /** False if it is reached by the carrier of a relay plugin, not over HTTP. */
  readonly isHttp: boolean;
  #addresses: readonly string[];
  #refreshing: Promise<void> | undefined;

  /** `fixed`: for a server that is not reached over HTTP, the address and port in its host_id. */
  constructor(
    url: string,
    private readonly resolve: Resolve,
    fixed?: { readonly address: string; readonly port: number },
  ) {
    this.url = new URL(url);
    this.name = serverName(this.url);
    this.isHttp = fixed === undefined;
    this.port = fixed?.port ?? Number(this.url.port || (this.url.protocol === 'https:' ? 443 : 80));
    const literal = fixed?.address ?? canonicalAddress(this.url.hostname);
    this.#addresses = literal === undefined ? [] : [literal];
  }

  /** Canonical; empty until the name has been resolved. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** True if it is reached over HTTP by a host name, whose addresses may change. */
  get isNamed(): boolean {
    return this.isHttp && canonicalAddress(this.url.hostname) === undefined;
  }

  /**
   * Resolves the name again; concurrent calls share one lookup, and a literal address stays. Rejects with a RelayError TRANSPORT and
   * keeps the addresses.
   */
  async refresh(): Promise<void> {
    if (!this.isNamed) return;
    this.#refreshing ??= this.#resolve().finally(() => {
      this.#refreshing = undefined;
    });
    await this.#refreshing;
  }

  async #resolve(): Promise<void> {
    const { hostname } = this.url;
    try {
      const found = await this.resolve(hostname);
      this.#addresses = found.map(canonicalAddress).filter((address) => address !== undefined);
    } catch (error) {
      throw new RelayError('TRANSPORT', `${hostname} cannot be resolved: ${reasonOf(error)}`, { cause: error });
    }
  }

  /** True if this is the server that listens at `address`:`port`. */
  is(address: string, port: number): boolean {
    return port === this.port && this.#addresses.includes(address);
  }

  /** True if it is on this machine. */
  get isLocal(): boolean {
    return this.#addresses.some(isLoopback);
  }
}
