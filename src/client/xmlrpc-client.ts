/** An XML-RPC client for one server: calls, several in one, introspection; every wait and every answer bounded. */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { parseResponse, parseResponseInSlices, serialiseCall } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { Connection } from './connection.ts';
import { completeClientOptions } from './options.ts';
import type { ClientOptions, CompleteClientOptions } from './options.ts';
import { withAnswerHead } from './reasons.ts';
import { RemoteFault } from './remote-fault.ts';
import { remoteMethods } from './remote-methods.ts';
import type { RemoteMethods } from './remote-methods.ts';
import { readServerUrl } from './server-url.ts';

/** How one call is made. */
export interface ClientCallOptions {
  /** Ends the call; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One of the calls of a multicall. */
export interface MulticallEntry {
  readonly method: string;
  readonly params?: readonly Sendable[] | undefined;
}

/** What one call of a multicall was answered: a value or a fault. */
export type MulticallResult =
  { readonly value: Value; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: RemoteFault };

/** What a server says that it can, by `system.getCapabilities`. */
export interface Capability {
  readonly specUrl: string;
  readonly specVersion: number;
}

// As at the door: 256 KiB are read in a millisecond, or in some ten if they were made to hurt.
const LARGE_BYTES = 256 * 1024;

/**
 * A client of one server. Connections are made at the first call and kept; redirects are not followed, compressed answers are refused.
 *
 * Calls that are made together (`Promise.all`) run one after the other, in the order in which they are made, since by default there is one
 * connection: what one does is
 * done when the next arrives. So one that waits at the server, a long poll such as `plugin.subscribe_state`, holds up those behind it, also
 * until their time is over. Give it
 * a client of its own, or `maxConnections: 2` and more (then as many calls run at once, and which of them arrives first nobody knows), and
 * a `timeoutMs` longer than it waits.
 */
export class XmlRpcClient {
  /** The server's methods as functions: `client.methods.ham.spam.add(1, 2)`. */
  readonly methods: RemoteMethods = remoteMethods((method, params) => this.call(method, params));
  readonly #options: CompleteClientOptions;
  readonly #connection: Connection;
  readonly #name: string;

  /**
   * `url` is `http:`, `https:` or `http+unix:`, and may carry credentials (Basic); a path of `/` means `/RPC2`. Throws a RelayError
   * CONFIG_INVALID
   * for a URL or an option that cannot be.
   */
  constructor(url: string | URL, options: ClientOptions = {}) {
    const server = readServerUrl(url);
    this.#options = completeClientOptions(options);
    this.#connection = new Connection(server, this.#options);
    this.#name = server.name;
  }

  /**
   * Calls `method`. Throws a {@link RemoteFault} if the server answers one, a RelayError TIMEOUT or TRANSPORT if no answer came, LIMIT if
   * the server finds the call
   * too large, INTERNAL if a parameter cannot be sent.
   */
  async call(method: string, params: readonly Sendable[] = [], options: ClientCallOptions = {}): Promise<Value> {
    return (await this.#answer(method, params, options)).value;
  }

  /**
   * Makes several calls in one by `system.multicall`; answers their results in order, a fault where one failed. Throws as {@link call}
   * does.
   */
  async multicall(calls: readonly MulticallEntry[], options: ClientCallOptions = {}): Promise<readonly MulticallResult[]> {
    if (calls.length === 0) return [];
    const list = calls.map(({ method, params = [] }) => ({ methodName: method, params }));
    const answer = await this.#answer('system.multicall', [list], options);
    if (!Array.isArray(answer.value) || answer.value.length !== calls.length)
      throw this.#wrong('system.multicall', `an array of ${calls.length} results`);
    return answer.value.map((one: Value) => this.#result(one, answer));
  }

  /** The names of all methods. */
  async listMethods(options: ClientCallOptions = {}): Promise<readonly string[]> {
    const names = await this.call('system.listMethods', [], options);
    if (isTexts(names)) return names;
    throw this.#wrong('system.listMethods', 'an array of names');
  }

  /** What a method is for; empty if nobody wrote it down. */
  async methodHelp(method: string, options: ClientCallOptions = {}): Promise<string> {
    const text = await this.call('system.methodHelp', [method], options);
    if (typeof text === 'string') return text;
    throw this.#wrong('system.methodHelp', 'a text');
  }

  /** The ways in which a method may be called, each a list of type names with the result's first; undefined if the server does not say. */
  async methodSignature(method: string, options: ClientCallOptions = {}): Promise<readonly (readonly string[])[] | undefined> {
    const signatures = await this.call('system.methodSignature', [method], options);
    // The word for it is `undef`; some servers answer another text.
    if (typeof signatures === 'string') return undefined;
    // One signature as a flat list, as supervisord has it.
    if (isTexts(signatures) && signatures.length > 0) return [signatures];
    if (Array.isArray(signatures) && signatures.every(isTexts)) return signatures;
    throw this.#wrong('system.methodSignature', 'an array of arrays of type names');
  }

  /** The specifications that the server keeps, by name. */
  async getCapabilities(options: ClientCallOptions = {}): Promise<ReadonlyMap<string, Capability>> {
    const answer = await this.call('system.getCapabilities', [], options);
    if (!isDict(answer)) throw this.#wrong('system.getCapabilities', 'a struct');
    return new Map(
      Object.entries(answer).map(([name, value]) => {
        const { specUrl, specVersion } = isDict(value) ? value : {};
        if (typeof specUrl === 'string' && typeof specVersion === 'number') return [name, { specUrl, specVersion }];
        throw this.#wrong('system.getCapabilities', 'structs of specUrl and specVersion');
      }),
    );
  }

  /** Posts a written call, and answers a fault as such. Throws RelayErrors as {@link call} does. */
  async post(body: Uint8Array, { signal }: ClientCallOptions = {}): Promise<ParsedResponse> {
    const { bytes, charset } = await this.#connection.post(body, signal);
    try {
      const options = { charset, limits: this.#options.limits, isLenient: this.#options.answers === 'lenient' };
      // A small one at once; a large one beside whatever else the caller does.
      return bytes.byteLength <= LARGE_BYTES ? parseResponse(bytes, options) : await parseResponseInSlices(bytes, options);
    } catch (error) {
      const text = `${this.#name} answered something that is not XML-RPC: ${this.#connection.withoutSecrets(reasonOf(error))}`;
      throw withAnswerHead(new RelayError('TRANSPORT', text, { cause: error }), { status: 200, retryAfterMs: undefined, isWhole: true });
    }
  }

  /** Ends all connections now; calls in flight fail, and so do later ones. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #answer(method: string, params: readonly Sendable[], options: ClientCallOptions): Promise<ParsedResponse & { kind: 'value' }> {
    const answer = await this.post(serialiseCall(method, params, this.#options.send), options);
    if (answer.kind === 'fault') throw new RemoteFault(answer.code, answer.text, answer.faultCode);
    return answer;
  }

  /** A value is wrapped in an array, for a fault is a struct. */
  #result(one: Value, answer: ParsedResponse & { kind: 'value' }): MulticallResult {
    if (isSingle(one)) return { value: one[0] };
    const fault = answer.faultIn(one);
    if (fault) return { fault: new RemoteFault(fault.code, fault.text, fault.faultCode) };
    throw this.#wrong('system.multicall', 'for each call an array of one value, or a fault of an int faultCode and a string faultString');
  }

  #wrong(method: string, expected: string): RelayError {
    return new RelayError('TRANSPORT', `${this.#name} answered ${clean(method)} with something other than ${expected}`);
  }
}

function isSingle(value: Value): value is readonly [Value] {
  return Array.isArray(value) && value.length === 1;
}

function isTexts(value: Value): value is readonly string[] {
  return Array.isArray(value) && value.every((one: Value) => typeof one === 'string');
}
