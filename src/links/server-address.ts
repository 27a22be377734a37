/** Where an XML-RPC server is: its URL, a name fit for logs, and the addresses that its host resolves to. */
import { lookup } from 'node:dns/promises';
import { RelayError, reasonOf } from '../core/core.ts';
import { canonicalAddress, isLoopback } from '../message/message.ts';

/** Answers the addresses of a host name. */
export type Resolve = (hostname: string) => Promise<readonly string[]>;

/** The system's resolver. */
export const resolveBySystem: Resolve = async (hostname) => (await lookup(hostname, { all: true })).map(({ address }) => address);

export class ServerAddress {
  readonly url: URL;
  /** The URL without credentials. */
  readonly name: string;
  readonly port: number;
  /** False for one that is reached by the carrier of a relay plugin, not over HTTP. */
  readonly isHttp: boolean;
  #addresses: readonly string[];
  #refreshing: Promise<void> | undefined;

  /** `place`: address and port of one that is not reached over HTTP, as its host_id has them. */
  constructor(
    url: string,
    private readonly resolve: Resolve,
    place?: { readonly address: string; readonly port: number },
  ) {
    this.url = new URL(url);
    this.name = `${this.url.protocol}//${this.url.host}${this.url.pathname === '/' ? '' : this.url.pathname}`;
    this.isHttp = place === undefined;
    this.port = place?.port ?? Number(this.url.port || (this.url.protocol === 'https:' ? 443 : 80));
    const literal = place?.address ?? canonicalAddress(this.url.hostname);
    this.#addresses = literal === undefined ? [] : [literal];
  }

  /** Canonical; empty as long as the name was never resolved. */
  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** True if it is reached over HTTP by a name, whose addresses may change. */
  get isNamed(): boolean {
    return this.isHttp && canonicalAddress(this.url.hostname) === undefined;
  }

  /** Resolves the name again; calls at the same time share one lookup, and an address that is written as such stays. Throws a RelayError TRANSPORT; the addresses stay then. */
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

  /** True if a server that listens at `address`:`port` is this one. */
  is(address: string, port: number): boolean {
    return port === this.port && this.#addresses.includes(address);
  }

  /** True if it is on this machine. */
  get isLocal(): boolean {
    return this.#addresses.some(isLoopback);
  }
}
