/** What a relay plugin may have: hooks on every dict, and carriers. All of it may be left out. */
import type { Carrier } from './carrier.ts';
import type { Dict } from '../values/values.ts';
import type { Verdict } from '../message/message.ts';
import type { StandardSchema } from './schema.ts';

/** Options of `@RelayPlugin`. */
export interface RelayPluginOptions {
  /** Plugins with a smaller number come first, those with the same by their names. Default 0. */
  readonly order?: number | undefined;
  /** Scheme of the URLs in `peers` that `createCarrier` is for: `memory` for `memory://b`. Default: it carries nothing. */
  readonly carries?: string | undefined;
  /** Schema of its configuration (zod 4, or any Standard Schema); `setup` gets what it returns. Default: unchecked. */
  readonly config?: StandardSchema | undefined;
}

/**
 * Where on its way a dict is. `origin`: it enters the network at this relay, nothing is signed yet. `through`: it came from a peer and goes
 * on to others, as it is.
 * `delivery`: it is on its way to the satellites of this relay.
 */
export type HookPlace = 'origin' | 'through' | 'delivery';

/** What a hook is told beside the dict. */
export interface HookContext {
  readonly where: HookPlace;
  /** The same at every relay. */
  readonly id: string;
  /** Relays that forwarded it before ours; 0 at the origin. */
  readonly hops: number;
  /** ms since it was sent. */
  readonly ageMs: number;
  /** What is known of its `host_id`. */
  readonly verdict: Verdict;
  /** Who handed it to this relay: a peer by its host_id, a satellite by its name, a client by its address. */
  readonly from: { readonly kind: 'peer' | 'satellite' | 'client'; readonly name: string };
  /** URLs (without credentials) of the peers that get it after this hook; none for `delivery`. */
  readonly to: readonly string[];
  /** Aborted when the hook's time limit is over. */
  readonly signal: AbortSignal;
}

/** Nothing: the dict goes on as it is. A struct: this goes on in its place, where the hook may change it. Or a promise of either. */
export type HookResult = unknown;

/**
 * The shape of a class decorated with `@RelayPlugin`. A hook gets the dict as satellites get it, deeply frozen. It lets it pass by
 * returning nothing, refuses it by throwing a
 * `Refusal`, and changes it, at `origin` and `delivery`, by returning another one, whose `host_id`, `client_address` and `co2` stay what
 * they were. A hook that fails, returns something
 * else, changes a dict that goes `through`, or outlives `hookTimeoutMs` refuses the dict too. Dicts come one after the other, in order; the
 * next one waits.
 */
export interface RelayHooks<Config = never> {
  /**
   * Called once before everything, with the configuration of its entry in `relayPlugins` (`{}` if there is none). If it throws, the relay
   * does not start.
   */
  setup?(config: Config): void | Promise<void>;
  /**
   * For each dict that is to be delivered here, `where: 'delivery'`. A refusal means that the relay does not take it at all: who handed it
   * in gets a fault.
   */
  onAccept?(dict: Dict, context: HookContext): HookResult;
  /**
   * For each dict that enters the network here, `where: 'origin'`: what it returns is what everybody gets, also the satellites here, and a
   * refusal is a fault for who handed it in. And for each
   * dict of a peer that would go on to others, `where: 'through'`: a refusal means that it goes no further; it is delivered here all the
   * same.
   */
  onForward?(dict: Dict, context: HookContext): HookResult;
  /** A new carrier, for each connection to a peer whose URL has the scheme `carries`. */
  createCarrier?(): Carrier;
  /** Called once when the relay has stopped everything else. */
  exit?(): void | Promise<void>;
}
