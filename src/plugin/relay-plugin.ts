/** The interface of a relay plugin: hooks on every dict, and transports. All of it is optional. */
import type { Carrier } from './carrier.ts';
import type { Dict } from '../values/values.ts';
import type { Verdict } from '../message/message.ts';
import type { StandardSchema } from './schema.ts';

/** Options of `@RelayPlugin`. */
export interface RelayPluginOptions {
  /** Plugins with a smaller number come first; equal numbers are ordered by name. Default 0. */
  readonly order?: number | undefined;
  /** The scheme of the URLs in `peers` for `createCarrier`: `memory` for `memory://b`. Default: none. */
  readonly carries?: string | undefined;
  /** The schema of its configuration (zod 4, or any Standard Schema). `setup` gets its output. Default: unchecked. */
  readonly config?: StandardSchema | undefined;
}

/**
 * Where a dict is. `origin`: it enters the network at this relay, and nothing is signed yet. `through`: it came from a peer and is
 * forwarded to others unchanged; hooks do not see what only crosses this relay on its way through the mesh. `delivery`: it is about to be
 * delivered to the satellites of this relay.
 */
export type HookPlace = 'origin' | 'through' | 'delivery';

/** What a hook learns about a dict. */
export interface HookContext {
  readonly where: HookPlace;
  /** The same at every relay. */
  readonly id: string;
  /** How many relays forwarded it before this one. 0 at the origin. */
  readonly hops: number;
  /** ms since it was sent. */
  readonly ageMs: number;
  /** What is known about its `host_id`. */
  readonly verdict: Verdict;
  /** Who submitted it to this relay: a peer by its host_id, a satellite by its name, a client by its address. */
  readonly from: { readonly kind: 'peer' | 'satellite' | 'client'; readonly name: string };
  /**
   * Who gets it after this hook: the URLs (without credentials) of classic peers, and `mesh` for all nodes of the mesh, `node:<id>` or
   * `any:<capability>`. None for `delivery`.
   */
  readonly to: readonly string[];
  /** Aborted when the hook exceeds its time limit. */
  readonly signal: AbortSignal;
}

/** Nothing, which leaves the dict unchanged; a struct, which replaces it where the hook may change it; or a promise of either. */
export type HookResult = unknown;

/**
 * The interface of a class decorated with `@RelayPlugin`. A hook receives the dict as satellites do, deeply frozen. It lets the dict pass
 * by returning nothing, rejects it by throwing a `Refusal`, and changes it, at `origin` and `delivery`, by returning another one, which
 * keeps the `host_id`, `client_address` and `co2` of the original. A hook that fails, returns anything else, changes a dict that goes
 * `through`, or exceeds `hookTimeoutMs` rejects the dict, too. Hooks are called for one dict at a time, in order; the next one waits.
 */
export interface RelayHooks<Config = never> {
  /**
   * Called once before all other methods, with the configuration of its entry in `relayPlugins` (`{}` if there is none). If it throws, the
   * relay does not start.
   */
  setup?(config: Config): void | Promise<void>;
  /**
   * Called for each dict that is to be delivered here, `where: 'delivery'`. If it rejects the dict, the relay does not accept it, and the
   * submitter gets a fault.
   */
  onAccept?(dict: Dict, context: HookContext): HookResult;
  /**
   * Called for each dict that enters the network here, `where: 'origin'`: all recipients, including the satellites here, receive what it
   * returns, and a rejection is a fault for the submitter. Also called for each dict of a peer that would be forwarded to others, `where:
   * 'through'`: a dict that it rejects is not forwarded, but is still delivered here.
   */
  onForward?(dict: Dict, context: HookContext): HookResult;
  /** Makes a carrier for each connection to a peer whose URL has the scheme `carries`. */
  createCarrier?(): Carrier;
  /** Called once after the relay has stopped everything else. */
  exit?(): void | Promise<void>;
}
