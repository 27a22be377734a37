/**
 * The client by which a child calls the relay and sends its log lines, over persistent connections. It uses only node:http, and loads that
 * at the first call: a larger client would take most of the start-up time.
 */
import type { Agent, IncomingMessage } from 'node:http';
import { format } from 'node:util';
import { RelayError, errorFromFault } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { Sendable, Value } from '../../values/values.ts';
import { parseResponse, serialiseCall } from '../../xmlrpc/xmlrpc.ts';

// Few enough connections not to burden the relay. Further calls wait here.
const MAX_SOCKETS = 32;

export class RelayClient {
  #agent: Agent | undefined;
  readonly #options: Readonly<Record<string, unknown>>;
  readonly #authorization: string;

  /** `url` is the value of CO2_RELAY_URL, including the credential. */
  constructor(url: string) {
    const { hostname, port, pathname, username, password } = new URL(url);
    this.#options = { host: hostname, port, path: pathname, method: 'POST' };
    this.#authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
  }

  /**
   * Calls a method. Rejects with the RelayError or Fault that the relay returns ({@link errorFromFault}), or with a RelayError TRANSPORT if
   * the relay cannot be reached.
   */
  async call(method: string, params: readonly Sendable[]): Promise<Value> {
    const answer = parseResponse(await this.#post(serialiseCall(method, params, { nil: true, i8: true })), {
      limits: { maxBodyBytes: Infinity },
    });
    if (answer.kind === 'fault') throw errorFromFault(answer.code, answer.text);
    return answer.value;
  }

  close(): void {
    this.#agent?.destroy();
  }

  async #post(body: Buffer): Promise<Buffer> {
    const { Agent, request } = await import('node:http');
    this.#agent ??= new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, noDelay: true });
    const agent = this.#agent;
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        reject(new RelayError('TRANSPORT', 'the relay is not there', { cause: error }));
      };
      const headers = { authorization: this.#authorization, 'content-type': 'text/xml', 'content-length': body.length };
      const asking = request({ ...this.#options, agent, headers }, (response) => {
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

/** Reads the whole body. Rejects if it is truncated. */
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

type Level = 'debug' | 'info' | 'warn' | 'error';

// The maximum number of queued log lines. It protects the memory of a child that logs too fast.
const MAX_WAITING = 1_000;
// In characters. Stack traces are shorter.
const MAX_LINE = 8_000;

export class RelayLog implements Log {
  readonly #waiting: (readonly [Level, string])[] = [];
  #dropped = 0;
  #sending: Promise<void> | undefined;

  constructor(
    private readonly client: Pick<RelayClient, 'call'>,
    private readonly isDebug: boolean,
  ) {}

  debug(text: string, ...more: unknown[]): void {
    if (this.isDebug) this.#queue('debug', text, more);
  }

  info(text: string, ...more: unknown[]): void {
    this.#queue('info', text, more);
  }

  warn(text: string, ...more: unknown[]): void {
    this.#queue('warn', text, more);
  }

  error(text: string, ...more: unknown[]): void {
    this.#queue('error', text, more);
  }

  isDebugEnabled(): boolean {
    return this.isDebug;
  }

  isInfoEnabled(): boolean {
    return true;
  }

  /** Resolves when the lines written so far have been delivered or have failed. */
  async flush(): Promise<void> {
    await this.#sending;
  }

  #queue(level: Level, text: string, more: readonly unknown[]): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.#dropped++;
      return;
    }
    this.#waiting.push([level, (more.length === 0 ? text : format(text, ...more)).slice(0, MAX_LINE)]);
    this.#sending ??= this.#send();
  }

  async #send(): Promise<void> {
    for (let line = this.#waiting.shift(); line !== undefined; line = this.#waiting.shift()) {
      // An unreachable relay cannot receive a report of the failure either.
      await this.client.call('relay.log', line).catch(() => undefined);
      if (this.#waiting.length === 0 && this.#dropped > 0) {
        this.#waiting.push(['warn', `dropped ${this.#dropped} lines that came faster than the relay took them`]);
        this.#dropped = 0;
      }
    }
    this.#sending = undefined;
  }
}
