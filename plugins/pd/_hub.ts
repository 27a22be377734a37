/** What the sockets of the bridge and the bridge itself are to each other. */
import type { Logger } from 'co2-relay';
import type { Atom, ReaderParts } from './_fudi.ts';

/** Where Pure Data is, or where it connects to. */
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
  /** Bytes that wait for one reader. */
  readonly maxPendingBytes: number;
  /** ms between two attempts to connect. */
  readonly retryMs: number;
  /** Hands messages of Pure Data to the network, in order; resolves when more may come. Never rejects. */
  take(messages: Iterable<readonly Atom[]>): Promise<void>;
  /** Counts a message that went out in vain. */
  drop(): void;
}

/** Where messages go out. */
export interface Outlet {
  /** False if the message was not taken, since nobody is there or too much waits already. */
  write(message: Buffer): boolean;
}

/** A socket that waits for Pure Data. */
export interface Listener {
  /** With the port that is listened on, also if 0 was asked for. */
  readonly endpoint: Endpoint;
  /** Those that are connected. */
  readonly outlets: Iterable<Outlet> & { readonly size: number };
  close(): Promise<void>;
}

/** A place that messages are sent to. */
export interface Target extends Outlet {
  readonly endpoint: Endpoint;
  readonly isConnected: boolean;
  close(): void;
}

/** `127.0.0.1:3000 (tcp)` */
export function nameOf({ host, port, protocol }: Endpoint): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port} (${protocol})`;
}
