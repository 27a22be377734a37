/** An XML-RPC client for one server: calls, batches and introspection, with limits on every wait and response. */
import { RelayError, clean, reasonOf } from '../core/core.ts';
import { isDict } from '../values/values.ts';
import type { Sendable, Value } from '../values/values.ts';
import { parseResponse, parseResponseInSlices, serialiseCall } from '../xmlrpc/xmlrpc.ts';
import type { ParsedResponse } from '../xmlrpc/xmlrpc.ts';
import { Connection } from './connection.ts';
import type { HttpResponse, PostOptions } from './connection.ts';
import { completeClientOptions, readServerUrl } from './options.ts';
import type { ClientOptions, CompleteClientOptions } from './options.ts';
import { withAnswerHead, RemoteFault } from './errors.ts';
import { inspect } from 'node:util';
import type { TLSSocket } from 'node:tls';

/** Options for one call. */
export interface ClientCallOptions {
  /** Aborts the call, which rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** One of the calls of a multicall. */
export interface MulticallEntry {
  readonly method: string;
  readonly params?: readonly Sendable[] | undefined;
}

/** The result of one call of a multicall: a value or a fault. */
export type MulticallResult =
  { readonly value: Value; readonly fault?: undefined } | { readonly value?: undefined; readonly fault: RemoteFault };

/** A capability that a server reports by `system.getCapabilities`. */
export interface Capability {
  readonly specUrl: string;
  readonly specVersion: number;
}

// As in the HTTP server: 256 KiB are read in a millisecond, or about ten in the worst case.
const LARGE_BYTES = 256 * 1024;

/**
 * A client of one server. The first call connects, and connections are kept. Redirects are not followed, and compressed responses are
 * rejected.
 *
 * Calls that are made together (`Promise.all`) run one after the other, in the order in which they are made, because by default there is
 * one connection. A call that waits on the server, such as the long poll `plugin.subscribe_state`, therefore delays the calls behind it,
 * possibly until they time out. Give it its own client, or set `maxConnections` to 2 or more (then that many calls run at once, in no
 * defined order), and a `timeoutMs` longer than its wait.
 */
export class XmlRpcClient {
  /** The server's methods as functions: `client.methods.ham.spam.add(1, 2)`. */
  readonly methods: RemoteMethods = remoteMethods((method, params) => this.call(method, params));
  readonly #options: CompleteClientOptions;
  readonly #connection: Connection;
  readonly #name: string;

  /**
   * `url` is `http:`, `https:` or `http+unix:`, and may contain credentials (Basic); the path `/` means `/RPC2`. Throws a RelayError
   * CONFIG_INVALID for an invalid URL or option.
   */
  constructor(url: string | URL, options: ClientOptions = {}) {
    const server = readServerUrl(url);
    this.#options = completeClientOptions(options);
    this.#connection = new Connection(server, this.#options);
    this.#name = server.name;
  }

  /**
   * Calls `method`. Throws a {@link RemoteFault} if the server responds with one, or a RelayError: TIMEOUT or TRANSPORT if there was no
   * valid response, LIMIT if the call is too large for the server, INTERNAL if a parameter cannot be sent.
   */
  async call(method: string, params: readonly Sendable[] = [], options: ClientCallOptions = {}): Promise<Value> {
    return (await this.#answer(method, params, options)).value;
  }

  /**
   * Makes several calls at once by `system.multicall`; returns their results in order, with a fault where one failed. Throws like {@link
   * call}.
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

  /** The help text of a method; empty if it has none. */
  async methodHelp(method: string, options: ClientCallOptions = {}): Promise<string> {
    const text = await this.call('system.methodHelp', [method], options);
    if (typeof text === 'string') return text;
    throw this.#wrong('system.methodHelp', 'a text');
  }

  /** The signatures of a method, each a list of type names that starts with the result; undefined if the server does not know them. */
  async methodSignature(method: string, options: ClientCallOptions = {}): Promise<readonly (readonly string[])[] | undefined> {
    const signatures = await this.call('system.methodSignature', [method], options);
    // The specification says `undef`; some servers return another text.
    if (typeof signatures === 'string') return undefined;
    // supervisord returns one signature as a flat list.
    if (isTexts(signatures) && signatures.length > 0) return [signatures];
    if (Array.isArray(signatures) && signatures.every(isTexts)) return signatures;
    throw this.#wrong('system.methodSignature', 'an array of arrays of type names');
  }

  /** The specifications that the server implements, by name. */
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

  /** Posts the body of a call; returns faults instead of throwing them. Throws RelayErrors like {@link call}. */
  async post(body: Uint8Array, options: ClientCallOptions = {}): Promise<ParsedResponse> {
    return (await this.exchange(body, options)).response;
  }

  /** The TLS socket of the newest connection; undefined if there is none, or it is a plain one. For the relay's own links. @internal */
  get tlsSocket(): TLSSocket | undefined {
    return this.#connection.tlsSocket;
  }

  /** Like {@link post}, with headers of one request; also returns what the response was read from. For the relay's own links. @internal */
  async exchange(body: Uint8Array, request: PostOptions = {}): Promise<HttpResponse & { readonly response: ParsedResponse }> {
    const raw = await this.#connection.post(body, request);
    const { bytes, charset } = raw;
    try {
      const options = {
        charset,
        limits: this.#options.limits,
        leniency: this.#options.answers === 'lenient' ? ('values' as const) : ('none' as const),
      };
      // A large response must not block other work of the caller.
      const response = bytes.byteLength <= LARGE_BYTES ? parseResponse(bytes, options) : await parseResponseInSlices(bytes, options);
      return { ...raw, response };
    } catch (error) {
      const text = `${this.#name} answered something that is not XML-RPC: ${this.#connection.withoutSecrets(reasonOf(error))}`;
      const failure = new RelayError('TRANSPORT', text, { cause: error, data: { reason: 'not-xmlrpc' } });
      throw withAnswerHead(failure, { status: 200, retryAfterMs: undefined, isWhole: true });
    }
  }

  /** Closes all connections now; calls in flight and later calls fail. */
  async close(): Promise<void> {
    await this.#connection.close();
  }

  async #answer(method: string, params: readonly Sendable[], options: ClientCallOptions): Promise<ParsedResponse & { kind: 'value' }> {
    const answer = await this.post(serialiseCall(method, params, this.#options.send), options);
    if (answer.kind === 'fault') throw new RemoteFault(answer.code, answer.text, answer.faultCode);
    return answer;
  }

  /** Values are wrapped in arrays; a struct is a fault. */
  #result(one: Value, answer: ParsedResponse & { kind: 'value' }): MulticallResult {
    if (isSingle(one)) return { value: one[0] };
    const fault = answer.faultIn(one);
    if (fault) return { fault: new RemoteFault(fault.code, fault.text, fault.faultCode) };
    throw this.#wrong('system.multicall', 'for each call an array of one value, or a fault of an int faultCode and a string faultString');
  }

  #wrong(method: string, expected: string): RelayError {
    return new RelayError('TRANSPORT', `${this.#name} answered ${clean(method)} with something other than ${expected}`, {
      data: { reason: 'unexpected-result' },
    });
  }
}

function isSingle(value: Value): value is readonly [Value] {
  return Array.isArray(value) && value.length === 1;
}

function isTexts(value: Value): value is readonly string[] {
  return Array.isArray(value) && value.every((one: Value) => typeof one === 'string');
}

/** A method of the server, and the prefix of others. */
export interface RemoteMethod {
  (...params: readonly Sendable[]): Promise<Value>;
  readonly [name: string]: RemoteMethod;
}

/** Methods of a server as functions: `methods.ham.spam.add(1, 2)` calls `ham.spam.add`. */
export type RemoteMethods = Readonly<Record<string, RemoteMethod>>;

// Names that the language and its tools look up on any object, besides inherited ones: the proxy must not look like a promise or define its
// JSON. Methods with these names can be called by `call`.
const NOT_REMOTE: ReadonlySet<string> = new Set(['then', 'catch', 'finally', 'toJSON', 'prototype']);

// Names that convert an object to text.
const AS_TEXT: ReadonlySet<string | symbol> = new Set(['toString', 'toLocaleString', 'valueOf', inspect.custom]);

type Call = (method: string, params: readonly Sendable[]) => Promise<Value>;

/** An object whose properties are methods: calling one calls `call` with its dotted name. */
export function remoteMethods(call: Call): RemoteMethods {
  return methodProxy<RemoteMethods>({}, '[methods]', '', call);
}

function methodNamed(method: string, call: Call): RemoteMethod {
  const target = (...params: readonly Sendable[]): Promise<Value> => call(method, params);
  return methodProxy<RemoteMethod>(target, `[method ${method}]`, `${method}.`, call);
}

/** A proxy with a method for every name, called `prefix` and that name. As text it is `text`. */
function methodProxy<T extends object>(target: object, text: string, prefix: string, call: Call): T {
  // An empty and frozen target satisfies the invariants of proxies, so that listing, freezing and inspecting work.
  for (const key of Reflect.ownKeys(target)) Reflect.deleteProperty(target, key);
  Object.setPrototypeOf(target, null);
  const show = (): string => text;
  Object.defineProperty(target, inspect.custom, { value: show });
  return new Proxy(Object.freeze(target), {
    get: (_target, name) => {
      if (AS_TEXT.has(name)) return show;
      return isRemote(name) ? methodNamed(prefix + name, call) : undefined;
    },
  }) as T;
}

function isRemote(name: string | symbol): name is string {
  return typeof name === 'string' && !NOT_REMOTE.has(name) && !(name in Object.prototype);
}
