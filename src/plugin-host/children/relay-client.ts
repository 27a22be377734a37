/** The child's way to the relay: calls over kept connections, by node:http alone, since a larger client takes longer to load than all else here. */
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { RelayError } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { parseResponse, serialiseCall } from '../../xmlrpc/xmlrpc.ts';
import { errorOf } from '../programs/programs.ts';

// As many as the relay serves without noticing; what is called beyond waits here.
const MAX_SOCKETS = 32;

export class RelayClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, noDelay: true });
  readonly #options: Readonly<Record<string, unknown>>;
  readonly #authorization: string;

  /** `url` as CO2_RELAY_URL has it, with the credential inside. */
  constructor(url: string) {
    const { hostname, port, pathname, username, password } = new URL(url);
    this.#options = { host: hostname, port, path: pathname, method: 'POST', agent: this.#agent };
    this.#authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  /** Rejects with a RelayError or Fault if the relay answers one ({@link errorOf}), with a RelayError TRANSPORT if it is not there. */
  async call(method: string, params: readonly Sendable[]): Promise<Value> {
    const answer = parseResponse(await this.#post(serialiseCall(method, params, { nil: true, i8: true })), {
      limits: { maxBodyBytes: Infinity },
    });
    if (answer.kind === 'fault') throw errorOf(answer.code, answer.text);
    return answer.value;
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(body: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        reject(new RelayError('TRANSPORT', 'the relay is not there', { cause: error }));
      };
      const headers = { authorization: this.#authorization, 'content-type': 'text/xml', 'content-length': body.length };
      const asking = request({ ...this.#options, headers }, (response) => {
        collect(response).then((bytes) => {
          if (response.statusCode === 200) resolve(bytes);
          else fail(new Error(`HTTP ${response.statusCode ?? 0}: ${bytes.toString('utf8', 0, 200)}`));
        }, fail);
      });
      asking.once('error', fail);
      asking.end(body);
    });
  }
}

/** All bytes of a body. Rejects if it breaks off. */
export function collect(message: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.once('end', () => {
      resolve(chunks.length === 1 ? (chunks[0] ?? Buffer.alloc(0)) : Buffer.concat(chunks));
    });
    message.once('close', () => {
      reject(new Error('the connection was closed'));
    });
    message.once('error', reject);
  });
}
