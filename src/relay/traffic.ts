/** Where a dict goes: in by `accept`, out by `send`, both to `#junction`, where everything that flows meets. */
import { RelayError, isPromise } from '../core/core.ts';
import type { Clock, QueueLimits, Log, MaybePromise } from '../core/core.ts';
import type { Dict, Sendable } from '../values/values.ts';
import type { Message } from '../message/message.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Hooks, PluginHost } from '../plugin-host/plugin-host.ts';
import type { Satellites, Sender as RemoteSender } from '../satellites/satellites.ts';
import { serialiseStructBytes } from '../xmlrpc/xmlrpc.ts';
import type { Caller } from './caller.ts';
import { Hooked, handedInBy } from './hooked.ts';
import type { HandedInBy, Ways } from './hooked.ts';
import { claimedId, clientIngress, describeMessage, makeMinter, messageFromCaller, messageFromSatellite, sourceOf } from './intake.ts';
import type { Identity, Minter } from './intake.ts';
import { checkOrigin } from './origin-check.ts';
import { Duplicates } from './duplicates.ts';
import type { Noted } from './duplicates.ts';
import type { Refusals } from './refusals.ts';
import { hasPassed } from './stamp.ts';

/** Whom a dict does not go back to: a satellite here by its name, one elsewhere by its id. */
interface Sender {
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
}

/** A message that passed the junction. */
export interface Passed {
  readonly message: Message;
  /** The satellite here that sent it; undefined for one that came in. */
  readonly sender: string | undefined;
  /** In the lines of how many satellites here it is now. */
  readonly takers: number;
}

/** A message on its way to the hooks, and what is forgotten of it if they refuse it. */
interface Hookable {
  readonly message: Message;
  readonly noted: Noted;
  readonly from: HandedInBy;
}

export interface TrafficParts {
  readonly pluginHost: Pick<PluginHost, 'deliver'>;
  readonly satellites: Pick<Satellites, 'deliver'>;
  readonly mesh: Pick<Mesh, 'forward' | 'noteHop' | 'targets'>;
  readonly refusals: Refusals;
  readonly log: Log;
  readonly clock: Clock;
  /** Who this relay is. Throws a RelayError UNAVAILABLE before it listens. */
  readonly self: () => Identity;
  /** Largest dict that a satellite may send. */
  readonly maxDictBytes: number;
  /** Told of each message that passed the junction. Default: nobody. */
  readonly onMessage?: ((passed: Passed) => void) | undefined;
}

export class Traffic {
  readonly #parts: TrafficParts;
  readonly #log: Log;
  readonly #duplicates = new Duplicates();
  readonly #mint: Minter;
  readonly #count = { accepted: 0, sent: 0, duplicates: 0, refusedByHooks: 0 };
  // Undefined where no relay plugin looks at dicts.
  #hooked: Hooked | undefined;

  constructor(parts: TrafficParts) {
    this.#parts = parts;
    this.#log = parts.log;
    this.#mint = makeMinter(parts.clock);
  }

  get counters(): Readonly<
    Record<'accepted' | 'sent' | 'duplicates' | 'refusedByHooks' | 'heldBack' | 'hooksWaiting' | 'hooksOverflowed', number>
  > {
    const hooks = this.#hooked?.counters ?? { heldBack: 0, hooksWaiting: 0, hooksOverflowed: 0 };
    return { ...this.#count, ...hooks };
  }

  /** From now on every dict passes these hooks; at most `limits` of them wait. */
  useHooks(hooks: Hooks | undefined, limits: QueueLimits): void {
    const { mesh, clock } = this.#parts;
    if (hooks) this.#hooked = new Hooked({ hooks, limits, clock, log: this.#log, targets: (message) => mesh.targets(message) });
  }

  /** Resolves when no dict is at a hook any more; what still waits after `ms` is refused. */
  async settle(ms: number): Promise<void> {
    await this.#hooked?.settle(ms);
  }

  /**
   * IN. Takes responsibility for a dict that a caller hands in, as one of the satellite `sender` if it is; returns its id, at once unless a hook of a relay plugin
   * has to be waited for. A dict that was here before is accepted and goes nowhere.
   */
  accept(dict: Dict, caller: Caller, sender?: RemoteSender): MaybePromise<string> {
    const { hostId } = this.#parts.self();
    const isEcho = hasPassed(dict.co2, hostId) || this.#duplicates.isEcho(dict);
    // A dict of ours that a satellite sends back is not forged, so it is not refused as one that claims our host_id.
    if (isEcho && dict.host_id === hostId) return this.#duplicate(claimedId(dict), claimedId(dict));
    const message = this.#checked(dict, caller, sender);
    // A dict of ours that comes back is a duplicate too, though its id may be forgotten since a restart.
    const noted = isEcho || message.hostId === hostId ? undefined : this.#duplicates.note(message, dict);
    if (!noted) return this.#duplicate(message.id, describeMessage(message));
    const lastHop = message.via.at(-1);
    if (lastHop !== undefined) this.#parts.mesh.noteHop(lastHop);
    const accepted = (ways: Ways): string => {
      this.#count.accepted++;
      if (this.#log.isDebugEnabled()) this.#log.debug(`accepted ${describeMessage(message)} (${message.verdict})`);
      return this.#junction(ways, { remote: sender?.id });
    };
    if (this.#hooked === undefined) return accepted({ here: message, onward: message });
    return this.#throughHooks(this.#hooked, { message, noted, from: handedInBy(message, sender) }, accepted);
  }

  /** OUT. Stamps a dict of the satellite of this name; returns its id. It goes to all others. */
  send(satellite: string, dict: Sendable): Promise<string> {
    return this.#sendSource(satellite, () => serialiseStructBytes(dict, { nil: true, i8: true }));
  }

  /** OUT, for a dict that a program of this name handed in as it wrote it. */
  sendAsWritten(satellite: string, dict: Dict, caller: Caller): Promise<string> {
    return this.#sendSource(satellite, () => sourceOf(dict, caller));
  }

  /** What satellites elsewhere are told when this relay stops: `{data: {goodbye: <host_id>}}`. */
  farewell(): Message {
    const self = this.#parts.self();
    return messageFromSatellite(serialiseStructBytes({ data: { goodbye: self.hostId } }), self, this.#mint);
  }

  /** The host_id by which a satellite registers or leaves; undefined if it claims none. Throws a RelayError ORIGIN_REFUSED. */
  checkedHostId({ host_id: claimed }: Dict, caller: Caller): string | undefined {
    if (claimed === undefined) return undefined;
    return this.#parts.refusals.noting(caller, 'a registration', () => {
      const origin = checkOrigin(claimed, clientIngress(caller), this.#parts.self().hostId, this.#mint.clientRandom);
      if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
      return origin.hostId;
    });
  }

  /** For us: deliver, to satellites here and elsewhere. For others: forward. Every dict of today is for all: both. Returns its id. */
  #junction({ here, onward }: Ways, sender: Sender): string {
    const { pluginHost, satellites, mesh, onMessage } = this.#parts;
    const takers = pluginHost.deliver(here, sender.local);
    if (satellites.deliver(here, sender.remote) > 0) this.#duplicates.notified(here);
    if (onward) mesh.forward(onward);
    onMessage?.({ message: here, sender: sender.local, takers });
    return here.id;
  }

  #checked(dict: Dict, caller: Caller, sender?: RemoteSender): Message {
    const { refusals, self } = this.#parts;
    return refusals.noting(caller, claimedId(dict), () => messageFromCaller(dict, caller, self(), this.#mint, sender?.hostId));
  }

  #sendSource(satellite: string, write: () => Buffer): Promise<string> {
    return Promise.resolve().then(() => {
      const source = write();
      this.#requireSize(source);
      const message = messageFromSatellite(source, this.#parts.self(), this.#mint);
      const noted = this.#duplicates.noteSent(message);
      const sent = (ways: Ways): string => {
        this.#count.sent++;
        if (this.#log.isDebugEnabled()) this.#log.debug(`sent ${describeMessage(message)} by ${satellite}`);
        return this.#junction(ways, { local: satellite });
      };
      if (this.#hooked === undefined) return sent({ here: message, onward: message });
      return this.#throughHooks(this.#hooked, { message, noted, from: { kind: 'satellite', name: satellite } }, sent);
    });
  }

  /** What the hooks refuse was never here: who handed it in may come with it again. */
  #throughHooks(hooked: Hooked, { message, noted, from }: Hookable, go: (ways: Ways) => string): MaybePromise<string> {
    const refuse = (error: unknown): never => {
      this.#count.refusedByHooks++;
      this.#duplicates.forget(noted);
      throw error;
    };
    try {
      const id = hooked.take(message, from, go);
      return isPromise(id) ? id.catch(refuse) : id;
    } catch (error) {
      return refuse(error);
    }
  }

  #duplicate(id: string, description: string): string {
    this.#count.duplicates++;
    this.#log.debug(`duplicate ${description}`);
    return id;
  }

  #requireSize(source: Buffer): void {
    const { maxDictBytes } = this.#parts;
    if (source.length > maxDictBytes)
      throw new RelayError('LIMIT', `the dict takes ${source.length} bytes as XML; at most ${maxDictBytes} are allowed (maxBodyBytes)`);
  }
}
