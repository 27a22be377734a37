/** A new process of a program beside the one that runs, whose place it is to take: it tells what it is, then waits for what the old one hands over. */
import type { Sendable } from '../../values/values.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import type { Incoming } from '../hosted/hosted.ts';
import { unlessAborted, notHandedOver } from '../hosted/hosted.ts';
import type { LifeEvents, ProgramLife } from './program-life.ts';
import { RelayError, clean, reasonOf } from '../../core/core.ts';
import { saysMissing } from './preparation.ts';
import { requestOf } from './transport.ts';

/** What a process hands over; undefined: nothing. */
export type State = Sendable | undefined;

export class Successor implements Incoming<State> {
  readonly life: ProgramLife;
  readonly #described: Promise<void>;
  /** Lets it restore and set itself up. */
  #goOn: (state: State) => void = () => undefined;
  #started: Promise<void> | undefined;

  /** `make` makes its life, which is not started yet. */
  constructor(make: (onDescribed: LifeEvents['onDescribed']) => ProgramLife) {
    let tell = (): void => undefined;
    this.#described = new Promise((resolve) => (tell = resolve));
    const state = new Promise<State>((resolve) => (this.#goOn = resolve));
    let isFirst = true;
    this.life = make(() => {
      // Once it has taken its place, a process that follows it starts with nothing.
      if (!isFirst) return Promise.resolve(undefined);
      isFirst = false;
      tell();
      return state;
    });
  }

  get methods(): readonly HostedMethod[] {
    return this.life.methods;
  }

  /** Starts it. Resolves when it has said what it is; rejects with a RelayError PLUGIN_REFUSED, or the signal's reason. */
  async introduce(signal: AbortSignal): Promise<void> {
    this.#started = this.life.start();
    await unlessAborted(signal, () => Promise.race([this.#described, this.#started]));
  }

  async setUp({ signal, states }: { readonly signal: AbortSignal; readonly states: State }): Promise<void> {
    this.#goOn(states);
    await unlessAborted(signal, () => this.#started);
  }

  async exit(): Promise<void> {
    await this.life.stop();
  }
}

/** Its state; undefined if it has none to hand over. Throws a RelayError PLUGIN_REFUSED. */
export async function handOver(name: string, old: ProgramLife, timeoutMs: number, signal: AbortSignal): Promise<State> {
  // One that has just ended took its state with it.
  if (old.state.kind !== 'up' || old.prepared?.capabilities.has('handover') !== true) return undefined;
  const ask = (): Promise<State> => old.sendExact(requestOf('plugin.handover', []), timeoutMs);
  try {
    return await unlessAborted(signal, ask);
  } catch (error) {
    const { code } = RelayError.is(error) ? error : { code: '' };
    if (code === 'TRANSPORT' || saysMissing(error, 'plugin.handover')) return undefined;
    // A module in a child says it in these words itself.
    throw code === 'PLUGIN_REFUSED' || signal.aborted ? error : notHandedOver(name, clean(reasonOf(error), 500), error);
  }
}
