/** The interfaces between the bridge and its sockets. */
import type { Logger } from 'co2-relay';
import type { Atom, ReaderParts } from './_fudi.ts';

/** The address of Pure Data, or the one that it connects to. */
export interface Endpoint {
  readonly host: string;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/** The bridge, as its sockets see it. */
export interface Hub extends ReaderParts {
  readonly logger: Logger;
  /** Connections that one listening socket accepts. */
  readonly maxConnections: number;
  /** Bytes that may wait for one reader. */
  readonly maxPendingBytes: number;
  /** ms between two attempts to connect. */
  readonly retryMs: number;
  /** Sends messages of Pure Data to the network, in order; resolves when more may follow. Never rejects. */
  take(messages: Iterable<readonly Atom[]>): Promise<void>;
  /** Counts an outgoing message that was lost. */
  drop(): void;
}

/** A destination of outgoing messages. */
export interface Outlet {
  /** False if the message was not accepted, because there is no connection or too much is waiting. */
  write(message: Buffer): boolean;
}

/** A listening socket. */
export interface Listener {
  /** Includes the port in use, also if the configuration says 0. */
  readonly endpoint: Endpoint;
  /** The connected peers. */
  readonly outlets: Iterable<Outlet> & { readonly size: number };
  close(): Promise<void>;
}

/** A configured destination of messages. */
export interface Target extends Outlet {
  readonly endpoint: Endpoint;
  readonly isConnected: boolean;
  close(): void;
}

/** `127.0.0.1:3000 (tcp)` */
export function nameOf({ host, port, protocol }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port} (${protocol})`;
}
