/** The watchers and reactors of a child: the calls of the relay that accept, open and close them. */
import { clean, isPromise, reasonOf, RelayError } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { ServiceEvent } from '../../plugin/internal.ts';
import { dictOf, isDict, showValue } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';
import type { HostedEndpoint, HostedEndpointType, HostedWatcher } from '../hosted/hosted.ts';
import { pushItems } from './push-items.ts';
import type { PushedItem } from './push-items.ts';
import type { RelayClient } from './relay-client.ts';

export interface ChildEndpointsParts {
  readonly client: Pick<RelayClient, 'call'>;
  readonly log: Log;
  /** What the module offers. */
  readonly offered: () => readonly HostedEndpointType[];
  /** The reason why the code of the plugin threw. */
  readonly explain: (thrown: unknown) => string;
}

/** An endpoint that was accepted, until it is closed. */
interface Accepted {
  readonly endpoint: HostedEndpoint;
  readonly closing: AbortController;
}

export class ChildEndpoints {
  readonly #parts: ChildEndpointsParts;
  /** By the id that the relay chose. */
  readonly #accepted = new Map<string, Accepted>();

  constructor(parts: ChildEndpointsParts) {
    this.#parts = parts;
  }

  /** `plugin.accept(type, {endpoint, service, name, config})` */
  async accept([type, order]: readonly Value[]): Promise<boolean> {
    const offered = this.#parts.offered().find((one) => one.type === type);
    if (!offered) throw new RelayError('NO_SUCH_METHOD', `there is no watcher or reactor ${showValue(type)} here`);
    const { endpoint: id, service, name, config = dictOf() } = isDict(order) ? order : dictOf();
    if (typeof id !== 'string' || typeof service !== 'string' || typeof name !== 'string' || !isDict(config))
      throw new RelayError(
        'INVALID_PARAMS',
        'plugin.accept takes the type of the endpoint, and a struct {endpoint, service, name, config}',
      );
    const endpoint = await offered.accept({ service, name, config });
    this.#accepted.set(id, { endpoint, closing: new AbortController() });
    return true;
  }

  /** `plugin.open(endpoint, {stream})`: starts it; the reports of a watcher are pushed to the stream. */
  async open([id, options]: readonly Value[]): Promise<boolean> {
    const { endpoint, closing } = this.#find(id);
    if (endpoint.role === 'reactor') {
      await endpoint.open();
      return true;
    }
    const { stream } = isDict(options) ? options : dictOf();
    if (typeof stream !== 'string') throw new RelayError('INVALID_PARAMS', 'plugin.open takes the id of the stream of a watcher');
    void this.#push(endpoint, stream, closing);
    return true;
  }

  /** `plugin.event(endpoint, changes)` */
  async event([id, changes]: readonly Value[]): Promise<boolean> {
    const { endpoint, closing } = this.#find(id);
    if (endpoint.role !== 'reactor' || !Array.isArray(changes))
      throw new RelayError('INVALID_PARAMS', 'plugin.event takes the id of a reactor, and an array of changes');
    for (const change of changes as readonly ServiceEvent[]) {
      for (const name in change) Object.freeze(change[name]);
      const result = endpoint.react([change], closing.signal);
      if (isPromise(result)) await result;
    }
    return true;
  }

  /** `plugin.close(endpoint)` */
  async close([id]: readonly Value[]): Promise<boolean> {
    const accepted = typeof id === 'string' ? this.#accepted.get(id) : undefined;
    if (!accepted) return true;
    this.#accepted.delete(id as string);
    accepted.closing.abort(new RelayError('UNAVAILABLE', 'the endpoint is closed'));
    if (accepted.endpoint.role === 'reactor') await accepted.endpoint.close();
    return true;
  }

  async #push({ watch }: HostedWatcher, stream: string, closing: AbortController): Promise<void> {
    const { client, log, explain } = this.#parts;
    const push = (items: readonly Sendable[], options: Record<string, Sendable>): Promise<Value> =>
      client.call('relay.push_items', [stream, items, options]);
    async function* reports(): AsyncGenerator<PushedItem, void, undefined> {
      for await (const report of watch(closing.signal)) {
        if (closing.signal.aborted) return;
        yield report as PushedItem;
      }
    }
    try {
      await pushItems(reports(), push, explain, closing);
    } catch (error) {
      if (!closing.signal.aborted) log.error(`the reports of a watcher cannot be pushed: ${clean(reasonOf(error))}`);
    }
  }

  #find(id: Value | undefined): Accepted {
    const accepted = typeof id === 'string' ? this.#accepted.get(id) : undefined;
    if (accepted) return accepted;
    throw new RelayError('INVALID_PARAMS', 'there is no such endpoint; it was not accepted here, or is closed');
  }
}
