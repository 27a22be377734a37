/**
 * Routes every dict: `accept` takes those of callers, `send` those of local satellites, `#arrived` those of other nodes of the mesh, and
 * all of them end in `#deliver`.
 */
import { Accepted, Fault, RelayError, andThen, clean, isPromise, resultOf } from '../core/core.ts';
import type { Clock, ErrorCode, Log, MaybePromise, QueueLimits } from '../core/core.ts';
import type { EventSink } from '../events/events.ts';
import type { Mesh, MeshArrival, MeshPort } from '../mesh/mesh.ts';
import { MAX_GENERATION } from '../mesh-core/mesh-core.ts';
import type { ProcessingOutcome } from '../mesh-core/mesh-core.ts';
import type { Identity, Message } from '../message/message.ts';
import type { Hooks, PluginHost, SendOptions } from '../plugin-host/plugin-host.ts';
import type { Caller } from '../rpc/rpc.ts';
import type { Satellites, Sender as RemoteSender } from '../satellites/satellites.ts';
import type { Dict, Sendable } from '../values/values.ts';
import { TO_ALL, sendingOf, wantedIn } from './addressing.ts';
import type { Sending, Wanted } from './addressing.ts';
import { Arrivals } from './arrivals.ts';
import { DICT } from './dict-payload.ts';
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
import type { Minter, ReadArrival, Written } from './ingress.ts';
import { MeshDicts, describeTarget } from './mesh-dicts.ts';
import type { MessageEvent } from './message-events.ts';
import { checkOrigin } from './origin-check.ts';
import type { RejectionLog } from './rejection-log.ts';
import { route } from './route.ts';
import { hasPassed } from './stamp.ts';

/** The satellite that sent the message, and so does not receive it: a local one by name, a remote one by id. */
interface Sender {
  readonly local?: string | undefined;
  /** Who learns what becomes of it: a satellite of the local one. */
  readonly satellite?: string | undefined;
  readonly remote?: string | undefined;
}

/** A satellite of this relay that sends. */
export interface LocalSender {
  /** Whose inbox does not get the message: a satellite of this process, or a program. */
  readonly plugin: string;
  /** Who learns what becomes of it: the same, or one of the satellites of a program. */
  readonly satellite: string;
  /** How many messages in a row, this one included, were sent in answer to one another; 0 if it answers none. */
  readonly generation: number;
}

/** A message that is checked, on its way to its recipients. */
interface Checked {
  readonly message: Message;
  /** Removed if the message is refused. */
  readonly entry: DuplicateEntry;
  readonly from: Submitter;
  readonly sender: Sender;
  readonly sending: Sending;
}

/** What the router needs. */
export interface RouterDependencies {
  readonly pluginHost: Pick<PluginHost, 'deliver' | 'keep' | 'reportDelivery'>;
  readonly satellites: Pick<Satellites, 'deliver' | 'byEndpoint'>;
  readonly mesh: Pick<Mesh, 'forward' | 'noteHop' | 'targets'>;
  /** The other nodes of the mesh. Undefined: there is no mesh. */
  readonly meshPort?: MeshPort | undefined;
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
  readonly #meshDicts: MeshDicts | undefined;
  readonly #arrivals: Arrivals;
  /** The newest message that is being stored; those before it are stored by then. */
  #storing: Promise<string> | undefined;
  readonly #count = { accepted: 0, sent: 0, duplicates: 0, refusedByHooks: 0 };

  constructor(dependencies: RouterDependencies) {
    const { log, clock, hookLimits, self, meshPort, maxDictBytes } = dependencies;
    this.#dependencies = dependencies;
    this.#log = log;
    this.#mint = makeMinter(clock);
    this.#duplicates = new Duplicates(this.#mint.idPrefix);
    this.#hookChain = new HookChain({ log, clock, limits: hookLimits, targets: (message, sending) => this.#targets(message, sending) });
    this.#arrivals = new Arrivals(clock, log, (arrival) => this.#arrived(arrival));
    if (!meshPort) return;
    this.#meshDicts = new MeshDicts({
      ...{ port: meshPort, self, clock, log, mint: this.#mint, maxDictBytes },
      onOutcome: ({ satellite, ...report }) => {
        dependencies.events.emit({ type: 'message.outcome', satellite, ...report });
        dependencies.pluginHost.reportDelivery(satellite, report);
      },
    });
    meshPort.receive(DICT, (arrival) => this.#arrivals.take(arrival));
  }

  /** Receives dicts of other nodes from now on; those that have arrived waited. Called when all satellites are ready. */
  open(): void {
    this.#arrivals.open();
  }

  /** Receives no more dicts of other nodes: what arrives from now on is delivered after the next start. */
  close(): void {
    this.#arrivals.close();
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
    const { message, sending } = this.#checked(dict, caller, sender);
    // A dict of ours that comes back is a copy too, even if its id was forgotten at a restart.
    const entry = isEcho || message.hostId === hostId ? undefined : this.#duplicates.note(message, dict);
    if (!entry) return this.#duplicate(message.id, describeMessage(message));
    const lastHop = message.via.at(-1);
    if (lastHop !== undefined) mesh.noteHop(lastHop);
    else if (dict.co2 !== undefined && sender === undefined) this.#dependencies.rejections.unlistedRelay(dict.co2, caller, satellites);
    return this.#throughHooks({ message, entry, from: submitterOf(message, sender), sender: { remote: sender?.id }, sending });
  }

  /**
   * Sends a dict of the local satellite of this name to all others, to the peers and to the nodes of the mesh, or to those that `to` names;
   * resolves to its id, once it is stored if a durable satellite or another node receives it and `durable` is not false.
   */
  send(satellite: string, dict: Sendable, options: SendOptions = {}, generation = 0): Promise<string> {
    return this.#send({ plugin: satellite, satellite, generation }, options, () => writtenHere(dict));
  }

  /** Sends a dict that a program submitted, with the XML that it wrote. */
  sendAsWritten(sender: LocalSender, dict: Dict, caller: Caller, options: Wanted = {}): Promise<string> {
    return this.#send(sender, options, () => ({ source: sourceOf(dict, caller) }));
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

  #checked(dict: Dict, caller: Caller, sender?: RemoteSender): { readonly message: Message; readonly sending: Sending } {
    const { rejections, self } = this.#dependencies;
    return rejections.recording(caller, claimedId(dict), () => {
      const sending = this.#sendingOf(dict, caller, sender);
      return { message: messageFromCaller(dict, caller, self(), this.#mint, sender?.hostId, sending.destination), sending };
    });
  }

  /** How a dict of a caller is sent: as its `co2` says, which in a dict of a peer is a stamp. */
  #sendingOf({ co2 }: Dict, caller: Caller, sender: RemoteSender | undefined): Sending {
    if (co2 === undefined) return TO_ALL;
    const { durable, ...wanted } = wantedIn(co2);
    return sendingOf(sender === undefined && caller.isPeer ? { durable } : { durable, ...wanted }, this.#meshDicts);
  }

  async #send({ plugin, satellite, generation }: LocalSender, options: Wanted, write: () => Written): Promise<string> {
    if (generation > MAX_GENERATION) throw this.#dependencies.rejections.loop(satellite);
    const sending = sendingOf(options, this.#meshDicts);
    const written = write();
    this.#requireSize(written.source);
    const message = messageFromSatellite(written, this.#dependencies.self(), this.#mint, sending.destination, generation);
    const entry = this.#duplicates.noteSent(message);
    const from = { kind: 'satellite', name: satellite } as const;
    return andThen(this.#throughHooks({ message, entry, from, sender: { local: plugin, satellite }, sending }), resultOf<string>);
  }

  /**
   * Takes a dict that arrived over the mesh. Throws, or rejects with, a RelayError UNAVAILABLE or STATE_DIRECTORY if it cannot be taken
   * now.
   */
  #arrived(arrival: MeshArrival): MaybePromise<ProcessingOutcome> {
    const { rejections } = this.#dependencies;
    const { head } = arrival;
    if (!this.#meshDicts) return REJECTED;
    let read: ReadArrival;
    try {
      read = this.#meshDicts.read(arrival, (hostId, id) => this.#duplicates.knows(hostId, id));
    } catch (error) {
      return refusalOf(error, (refusal) => {
        rejections.ofNode(head.origin, refusal);
      });
    }
    const { copyOf, message } = read;
    const copied = (id: string, description: string): MaybePromise<ProcessingOutcome> =>
      andThen(resultOf(this.#duplicate(id, description)), () => DONE);
    if (copyOf !== undefined) return copied(copyOf, `${clean(copyOf, 130)} of ${head.hostId} from node ${head.origin}`);
    // The mesh brings each dict once; one of this node's own is known since it was sent.
    const isOwn = head.origin === this.#meshDicts.self;
    // One that another node took from a classic peer or a program may have passed this relay before.
    const isEcho = !isOwn && message.via.includes(this.#dependencies.self().hostId);
    const entry = isOwn ? this.#duplicates.noteSent(message) : isEcho ? undefined : this.#duplicates.note(message, read.dict);
    if (!entry) return copied(message.id, describeMessage(message));
    const sending: Sending = { destination: message.destination, targets: [], isDurable: head.isDurable };
    const from = { kind: 'peer', name: message.via.at(-1) ?? message.hostId } as const;
    try {
      const id = andThen(this.#throughHooks({ message, entry, from, sender: NOBODY, sending }), resultOf<string>);
      return isPromise(id) ? id.then(() => DONE, failureOf) : DONE;
    } catch (error) {
      return failureOf(error);
    }
  }

  /** Runs the hooks, then stores and delivers the message. One that is refused is forgotten, so that its sender may submit it again. */
  #throughHooks(checked: Checked): MaybePromise<string | Accepted<string>> {
    const { hooks } = this.#dependencies.relayPlugins;
    const { message, entry, from, sending } = checked;
    if (hooks === undefined) return this.#take({ here: message, onward: message }, checked);
    const refuse = (error: unknown): never => {
      this.#count.refusedByHooks++;
      this.#duplicates.forget(entry);
      throw error;
    };
    // What the store refuses is not refused by a hook.
    const passed = (outcome: Outcome): (() => string | Accepted<string>) => {
      try {
        const id = this.#take(outcome, checked);
        return () => id;
      } catch (error) {
        return () => {
          throw error;
        };
      }
    };
    let result: MaybePromise<ReturnType<typeof passed>>;
    try {
      result = this.#hookChain.pass(hooks, message, { from, sending }, passed);
    } catch (error) {
      return refuse(error);
    }
    return isPromise(result) ? result.catch(refuse).then((id) => id()) : result();
  }

  /** Stores and delivers a message as the hooks leave it. Throws, or the answer rejects with, a RelayError if it may not be stored. */
  #take(outcome: Outcome, checked: Checked): string | Accepted<string> {
    const { entry, sender, sending } = checked;
    let stored: Promise<unknown> | undefined;
    try {
      stored = this.#storeAndDeliver(outcome, sender, sending);
    } catch (error) {
      this.#duplicates.forget(entry);
      throw error;
    }
    return stored ? new Accepted(this.#whenStored(stored, checked)) : this.#taken(checked);
  }

  #whenStored(stored: Promise<unknown>, checked: Checked): Promise<string> {
    const end = (): void => {
      if (this.#storing === id) this.#storing = undefined;
    };
    const id: Promise<string> = stored.then(
      () => {
        end();
        return this.#taken(checked);
      },
      (error: unknown) => {
        end();
        this.#duplicates.forget(checked.entry);
        throw error;
      },
    );
    this.#storing = id;
    return id;
  }

  /** Counts a message that has been taken, and returns its id. */
  #taken({ message, sender }: Checked): string {
    const isSent = sender.local !== undefined;
    if (isSent) this.#count.sent++;
    else this.#count.accepted++;
    if (this.#log.isDebugEnabled()) {
      const description = describeMessage(message);
      this.#log.debug(
        isSent ? `sent ${description} by ${sender.satellite ?? sender.local}` : `accepted ${description} (${message.verdict})`,
      );
    }
    return message.id;
  }

  /** Stores a message if a durable satellite receives it, then delivers it. Throws a RelayError if it may not be stored. */
  #storeAndDeliver(outcome: Outcome, sender: Sender, sending: Sending): Promise<unknown> | undefined {
    const { here } = outcome;
    const kept = sending.isDurable && route(here).local ? this.#dependencies.pluginHost.keep(here, sender.local) : undefined;
    return kept ? kept.then(() => this.#deliver(outcome, sender, sending, true)) : this.#deliver(outcome, sender, sending, false);
  }

  /**
   * Passes a message to its recipients: the inboxes of local satellites, the links of remote ones, the outboxes of peers, the mesh. Returns
   * a promise if the sender has to wait until it is stored for other nodes.
   */
  #deliver({ here, onward }: Outcome, sender: Sender, sending: Sending, isStored: boolean): Promise<unknown> | undefined {
    const { pluginHost, satellites, mesh, events } = this.#dependencies;
    const meshDicts = this.#meshDicts;
    const { local, remote, peers } = route(here);
    const targets = onward && meshDicts ? meshDicts.targetsOf(onward, sending) : [];
    if (onward && targets.length > 0) meshDicts?.requireSize(onward);
    const recipients = local ? pluginHost.deliver(here, sender.local, isStored) : 0;
    if (remote && satellites.deliver(here, sender.remote) > 0) this.#duplicates.notified(here);
    if (peers && onward) mesh.forward(onward, this.#isStray(onward, sending));
    if (events.isWatched('message.routed')) events.emit({ type: 'message.routed', message: here, sender: sender.local, recipients });
    if (!onward || targets.length === 0) return undefined;
    const isAwaited = sending.isDurable || sending.destination === 'away';
    if (isAwaited) return meshDicts?.submit(onward, targets, sending, sender.satellite);
    meshDicts?.send(onward, targets, sending, sender.satellite);
    return undefined;
  }

  /**
   * True for a dict of another node that came over a classic link, since that node sent it before its first link of the mesh. Nobody brings
   * it to the other nodes but classic links; those that have had it know its id.
   */
  #isStray({ hostId, via }: Message, { targets }: Sending): boolean {
    return via.length > 0 && targets[0]?.type === 'all' && this.#meshDicts?.isOfOtherNode(hostId) === true;
  }

  /** Where a message goes besides to the satellites of this relay, for hooks. */
  #targets(message: Message, sending: Sending): readonly string[] {
    const peers = route(message).peers ? this.#dependencies.mesh.targets(message, this.#isStray(message, sending)) : [];
    const nodes = this.#meshDicts?.targetsOf(message, sending) ?? [];
    return nodes.length === 0 ? peers : [...peers, ...nodes.map(describeTarget)];
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

const NOBODY: Sender = {};
const DONE: ProcessingOutcome = { type: 'done' };
const REJECTED: ProcessingOutcome = { type: 'rejected', reason: 'the relay receives no dicts from other nodes' };
// What makes a dict of another node wait instead of being rejected: too much is stored or waits, or nothing can be stored.
const PASSING: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['UNAVAILABLE', 'STATE_DIRECTORY']);

/** The outcome of an arrival that cannot be taken. Throws the error if it is to be tried again, or is not expected. */
function failureOf(error: unknown): ProcessingOutcome {
  if (RelayError.is(error) && PASSING.has(error.code)) throw error;
  return refusalOf(error, () => undefined);
}

/** The outcome of an arrival that is refused with an expected error. Throws others. */
function refusalOf(error: unknown, record: (refusal: RelayError) => void): ProcessingOutcome {
  if (RelayError.is(error)) record(error);
  else if (!Fault.is(error)) throw error;
  return { type: 'rejected', reason: error.message };
}
