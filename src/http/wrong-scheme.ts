/** Clients that use http: on an HTTPS port, or https: on an HTTP port: the response and the log say what is wrong. */
import type { Server, Socket } from 'node:net';
import { RateLimitedLog } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';

const PLAIN_TO_TLS = 'this port speaks HTTPS: use https:// in the URL instead of http://';
/** The response to a TLS handshake on an HTTP port. Most clients only report a failed handshake; a packet dump shows the text. */
export const TLS_TO_PLAIN = 'this port speaks HTTP without TLS: use http:// in the URL instead of https://';

// The type of the first record of every TLS connection (RFC 8446, section 5.1).
const HANDSHAKE = 0x16;
// How long the client may take to read the answer: closing at once would discard it if more of the request arrives.
const LINGER_MS = 1_000;

export class WrongScheme {
  readonly #log: RateLimitedLog;

  constructor(log: Log, clock: Clock) {
    this.#log = new RateLimitedLog(log, clock);
  }

  /** Logs a TLS handshake on an HTTP port. */
  onTls({ remoteAddress = 'a client' }: Socket): void {
    this.#log.warn(`${remoteAddress} used HTTPS on this HTTP port; it must use http:// in the URL (answered with status 400)`);
  }

  /**
   * Checks the first byte of each connection of an HTTPS server: TLS is passed to the server, plain HTTP is answered with status 400 in
   * plain text. A connection that sends nothing is closed after `timeoutMs`, because the server's own limit starts with the handshake.
   */
  watch(server: Server, timeoutMs: number): void {
    const accept = server.listeners('connection') as ((socket: Socket) => void)[];
    server.removeAllListeners('connection');
    server.on('connection', (socket: Socket) => {
      // A limit on connections has closed it.
      if (socket.destroyed) return;
      const onTimeout = (): void => {
        socket.destroy();
      };
      socket.on('error', onTimeout);
      socket.setTimeout(timeoutMs, onTimeout);
      socket.once('readable', () => {
        const head = socket.read() as Buffer | null;
        if (head === null) {
          socket.destroy();
          return;
        }
        socket.off('timeout', onTimeout).setTimeout(0);
        if (isText(head)) {
          this.#refusePlain(socket);
          return;
        }
        socket.unshift(head);
        for (const listener of accept) listener.call(server, socket);
      });
    });
  }

  #refusePlain(socket: Socket): void {
    const { remoteAddress = 'a client' } = socket;
    this.#log.warn(`${remoteAddress} used plain HTTP on this HTTPS port; it must use https:// in the URL (answered with status 400)`);
    const head = ['HTTP/1.1 400 Bad Request', 'Content-Type: text/plain; charset=utf-8', `Content-Length: ${PLAIN_TO_TLS.length + 1}`];
    socket.end([...head, 'Connection: close', '', `${PLAIN_TO_TLS}\n`].join('\r\n'));
    const timer = setTimeout(() => socket.destroy(), LINGER_MS);
    socket.once('end', () => socket.destroySoon());
    socket.once('close', () => {
      clearTimeout(timer);
    });
    socket.resume();
  }
}

/** True if the data that Node could not parse was the beginning of a TLS handshake. */
export function isTlsHandshake({ rawPacket }: { readonly rawPacket?: unknown }, socket: Socket): boolean {
  return Buffer.isBuffer(rawPacket) && rawPacket[0] === HANDSHAKE && socket.bytesRead === rawPacket.length;
}

/** True if the data begins with a letter or an empty line, like every HTTP request and no TLS record. */
function isText(head: Buffer): boolean {
  const [first = 0] = head;
  return (first >= 0x41 && first <= 0x5a) || (first >= 0x61 && first <= 0x7a) || first === 0x0d || first === 0x0a;
}
