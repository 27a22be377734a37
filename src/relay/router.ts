/** Routes every dict: `accept` takes those of callers, `send` those of local satellites, and both end in `#deliver`. */
import { Accepted, RelayError, andThen, isPromise, resultOf } from '../core/core.ts';
import type { Clock, Log, MaybePromise, QueueLimits } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Mesh } from '../mesh/mesh.ts';
import type { Identity, Message } from '../message/message.ts';
import type { Hooks, PluginHost, SendOptions } from '../plugin-host/plugin-host.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { Satellites, Sender as RemoteSender } from '../satellites/satellites.ts';
import { isDict } from '../values/values.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { Duplicates } from './duplicates.ts';
import type { DuplicateEntry } from './duplicates.ts';
import { HookChain, submitterOf } from './hook-chain.ts';
import type { Outcome, Submitter } from './hook-chain.ts';
import {
  claimedId,
  clientIngress,
  describeMessage,
  makeMinter,
  messageFromCaller,
  messageFromSatellite,
  sourceOf,
  writtenHere,
} from './ingress.ts';
import type { Minter, Written } from './ingress.ts';
import type { MessageEvent } from './message-events.ts';
import { checkOrigin } from './origin-check.ts';
import type { RejectionLog } from './rejection-log.ts';
import { route } from './route.ts';
import { hasPassed } from './stamp.ts';

/** The satellite that sent the message, and so does not receive it: a local one by name, a remote one by id. */
interface Sender {
  readonly local?: string | undefined;
  readonly remote?: string | undefined;
  /** False: the message is not stored, even if a durable satellite receives it. */
  readonly isDurable: boolean;
}

/** A message for the hooks, and the entry that is removed if they refuse it. */
interface Hookable {
  readonly message: Message;
  readonly entry: DuplicateEntry;
  readonly from: Submitter;
}

/** What the router needs. */
export interface RouterDependencies {
  readonly pluginHost: Pick<PluginHost, 'deliver' | 'keep'>;
  readonly satellites: Pick<Satellites, 'deliver' | 'byEndpoint'>;
  readonly mesh: Pick<Mesh, 'forward' | 'noteHop' | 'targets'>;
  /** The hooks of relay plugins, once these have started; undefined if there are none. */
  readonly relayPlugins: { readonly hooks: Hooks | undefined };
  /** How many messages may wait for hooks. */
  readonly hookLimits: QueueLimits;
  readonly rejections: RejectionLog;
  readonly events: EventSink<MessageEvent>;
  readonly log: Log;
  readonly clock: Clock;
  /** The identity of this relay. Throws a RelayError UNAVAILABLE before it listens. */
  readonly self: () => Identity;
  /** The largest dict that a satellite may send, in bytes of XML. */
  readonly maxDictBytes: number;
}

export class Router {
  readonly #dependencies: RouterDependencies;
  readonly #log: Log;
  readonly #duplicates: Duplicates;
  readonly #hookChain: HookChain;
  readonly #mint: Minter;
  /** The newest message that is being stored; those before it are stored by then. */
  #storing: Promise<string> | undefined;
  readonly #count = { accepted: 0, sent: 0, duplicates: 0, refusedByHooks: 0 };

  constructor(dependencies: RouterDependencies) {
    const { log, clock, mesh, hookLimits } = dependencies;
    this.#dependencies = dependencies;
    this.#log = log;
    this.#mint = makeMinter(clock);
    this.#duplicates = new Duplicates(this.#mint.idPrefix);
    this.#hookChain = new HookChain({ log, clock, limits: hookLimits, targets: (message) => mesh.targets(message) });
  }

  get counters(): Readonly<
    Record<'accepted' | 'sent' | 'duplicates' | 'refusedByHooks' | 'heldBack' | 'hooksWaiting' | 'hooksOverflowed', number>
  > {
    return { ...this.#count, ...this.#hookChain.counters };
  }

  /** Resolves once no message is being processed by a hook; messages that are still waiting after `ms` are refused. */
  settle(ms: number): Promise<void> {
    return this.#hookChain.settle(ms);
  }

  /**
   * Takes responsibility for a dict that a caller submits, on behalf of the remote satellite `sender` if that is given. Returns its id,
   * without a promise unless a hook of a relay plugin or the disk has to be awaited. A copy of an earlier dict is accepted, but not
   * delivered.
   */
  accept(dict: Dict, caller: Caller, sender?: RemoteSender): MaybePromise<string> {
    return andThen(this.acceptInOrder(dict, caller, sender), resultOf<string>);
  }

  /** Like {@link accept}, but does not wait for the disk. */
  acceptInOrder(dict: Dict, caller: Caller, sender?: RemoteSender): MaybePromise<string | Accepted<string>> {
    const { self, mesh, satellites } = this.#dependencies;
    const { hostId } = self();
    const isEcho = hasPassed(dict.co2, hostId) || this.#duplicates.isEcho(dict);
    // A dict of ours that a satellite sends back is a copy, not a forgery of our host_id.
    if (isEcho && dict.host_id === hostId) return this.#duplicate(claimedId(dict), claimedId(dict));
    const message = this.#checked(dict, caller, sender);
    // A dict of ours that comes back is a copy too, even if its id was forgotten at a restart.
    const entry = isEcho || message.hostId === hostId ? undefined : this.#duplicates.note(message, dict);
    if (!entry) return this.#duplicate(message.id, describeMessage(message));
    const lastHop = message.via.at(-1);
    if (lastHop !== undefined) mesh.noteHop(lastHop);
    else if (dict.co2 !== undefined && sender === undefined) this.#dependencies.rejections.unlistedRelay(dict.co2, caller, satellites);
    return this.#throughHooks({ message, entry, from: submitterOf(message, sender) }, (outcome) => {
      const stored = this.#storeAndDeliver(outcome, { remote: sender?.id, isDurable: wantsDurable(dict.co2) });
      return andThen(stored, (id) => {
        this.#count.accepted++;
        if (this.#log.isDebugEnabled()) this.#log.debug(`accepted ${describeMessage(message)} (${message.verdict})`);
        return id;
      });
    });
  }

  /**
   * Sends a dict of the local satellite of this name to all others and to the peers; resolves to its id, once it is stored if a durable
   * satellite receives it and `durable` is not false.
   */
  send(satellite: string, dict: Sendable, { durable = true }: SendOptions = {}): Promise<string> {
    return this.#send({ local: satellite, isDurable: durable }, () => writtenHere(dict));
  }

  /** Sends a dict that a program of this name submitted, with the XML that it wrote. */
  sendAsWritten(satellite: string, dict: Dict, caller: Caller, { durable = true }: SendOptions = {}): Promise<string> {
    return this.#send({ local: satellite, isDurable: durable }, () => ({ source: sourceOf(dict, caller), isOwnWriting: false }));
  }

  /** The message that remote satellites get when this relay stops: `{data: {goodbye: <host_id>}}`. */
  goodbye(): Message {
    const self = this.#dependencies.self();
    return messageFromSatellite(writtenHere({ data: { goodbye: self.hostId } }), self, this.#mint);
  }

  /** The host_id by which a satellite registers or leaves; undefined if it claims none. Throws a RelayError ORIGIN_REFUSED. */
  checkedHostId({ host_id: claimed }: Dict, caller: Caller): string | undefined {
    if (claimed === undefined) return undefined;
    return this.#dependencies.rejections.recording(caller, 'a registration', () => {
      const origin = checkOrigin(claimed, clientIngress(caller), this.#dependencies.self().hostId, this.#mint.clientRandom);
      if (!origin.accepted) throw new RelayError('ORIGIN_REFUSED', origin.reason);
      return origin.hostId;
    });
  }

  #checked(dict: Dict, caller: Caller, sender?: RemoteSender): Message {
    const { rejections, self } = this.#dependencies;
    return rejections.recording(caller, claimedId(dict), () => messageFromCaller(dict, caller, self(), this.#mint, sender?.hostId));
  }

  #send(sender: Sender & { readonly local: string }, write: () => Written): Promise<string> {
    return Promise.resolve().then(() => {
      const written = write();
      this.#requireSize(written.source);
      const message = messageFromSatellite(written, this.#dependencies.self(), this.#mint);
      const entry = this.#duplicates.noteSent(message);
      const accepted = this.#throughHooks({ message, entry, from: { kind: 'satellite', name: sender.local } }, (outcome) => {
        const stored = this.#storeAndDeliver(outcome, sender);
        return andThen(stored, (id) => {
          this.#count.sent++;
          if (this.#log.isDebugEnabled()) this.#log.debug(`sent ${describeMessage(message)} by ${sender.local}`);
          return id;
        });
      });
      return andThen(accepted, resultOf<string>);
    });
  }

  /** Runs the hooks, then `proceed`. A dict that the hooks refuse is forgotten, so that its sender may submit it again. */
  #throughHooks(
    { message, entry, from }: Hookable,
    proceed: (outcome: Outcome) => MaybePromise<string>,
  ): MaybePromise<string | Accepted<string>> {
    const { hooks } = this.#dependencies.relayPlugins;
    const forget = (error: unknown): never => {
      this.#duplicates.forget(entry);
      throw error;
    };
    const store = (outcome: Outcome): string | Accepted<string> => {
      try {
        const id = proceed(outcome);
        return isPromise(id) ? new Accepted(id.catch(forget)) : id;
      } catch (error) {
        return forget(error);
      }
    };
    if (hooks === undefined) return store({ here: message, onward: message });
    const refuse = (error: unknown): never => {
      this.#count.refusedByHooks++;
      return forget(error);
    };
    // What the store refuses is not refused by a hook.
    const passed = (outcome: Outcome): (() => string | Accepted<string>) => {
      try {
        const id = store(outcome);
        return () => id;
      } catch (error) {
        return () => {
          throw error;
        };
      }
    };
    let result: MaybePromise<ReturnType<typeof passed>>;
    try {
      result = this.#hookChain.pass(hooks, message, from, passed);
    } catch (error) {
      return refuse(error);
    }
    return isPromise(result) ? result.catch(refuse).then((id) => id()) : result();
  }

  /** Stores a message if a durable satellite receives it, then delivers it. Returns its id. Throws a RelayError if it may not be stored. */
  #storeAndDeliver(outcome: Outcome, sender: Sender): MaybePromise<string> {
    const { here } = outcome;
    const stored = sender.isDurable && route(here).local ? this.#dependencies.pluginHost.keep(here, sender.local) : undefined;
    if (stored === undefined) return this.#deliver(outcome, sender, false);
    const id = stored.then(() => this.#deliver(outcome, sender, true));
    const end = (): void => {
      if (this.#storing === id) this.#storing = undefined;
    };
    this.#storing = id;
    id.then(end, end);
    return id;
  }

  /**
   * Passes a message to its recipients: the inboxes of local satellites, the links of remote ones, the outboxes of peers. Returns its id.
   */
  #deliver({ here, onward }: Outcome, sender: Sender, isStored: boolean): string {
    const { pluginHost, satellites, mesh, events } = this.#dependencies;
    const { local, remote, peers } = route(here);
    const recipients = local ? pluginHost.deliver(here, sender.local, isStored) : 0;
    if (remote && satellites.deliver(here, sender.remote) > 0) this.#duplicates.notified(here);
    if (peers && onward) mesh.forward(onward);
    if (events.isWatched('message.routed')) events.emit({ type: 'message.routed', message: here, sender: sender.local, recipients });
    return here.id;
  }

  #duplicate(id: string, description: string): string | Accepted<string> {
    const { events } = this.#dependencies;
    this.#count.duplicates++;
    if (events.isWatched('message.duplicate')) events.emit({ type: 'message.duplicate', id });
    this.#log.debug(`duplicate ${description}`);
    // The first copy may still be being stored, and is acknowledged only then.
    return this.#storing ? new Accepted(this.#storing.then(() => id)) : id;
  }

  #requireSize(source: Buffer): void {
    const { maxDictBytes } = this.#dependencies;
    if (source.length > maxDictBytes)
      throw new RelayError('LIMIT', `the dict takes ${source.length} bytes as XML; at most ${maxDictBytes} are allowed (maxBodyBytes)`);
  }
}

/** False if the sender of a dict says in its stamp that it need not be stored: `co2: { durable: false }`. */
function wantsDurable(co2: Value | undefined): boolean {
  return !isDict(co2) || co2.durable !== false;
}
