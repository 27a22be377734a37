/** A program as a plugin of the host: delivers messages to its process, exposes its methods, and replaces the process on a reload. */
import { BoundedQueue, clean, reasonOf, RelayError, SerialQueue, unlessAborted } from '../../core/core.ts';
import type { QueueLimits } from '../../core/core.ts';
import type { DeliveryReport } from '../../plugin/internal.ts';
import type { EventSink } from '../../events/events.ts';
import type { Message } from '../../message/message.ts';
import type { HostedMethod } from '../../rpc/rpc.ts';
import { heldBytes } from '../../values/values.ts';
import type { Sendable } from '../../values/values.ts';
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { Inbox, NO_INBOX, NO_OFFERS, NOT_RELOADED, notHandedOver, placeOf, refusal, swap } from '../hosted/hosted.ts';
import type {
  DurableQueues,
  HostedPlugin,
  Offers,
  HostEvent,
  Incoming,
  PluginProblem,
  PluginState,
  PluginStatus,
  RelayPort,
  SatelliteStatus,
} from '../hosted/hosted.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { ItemBatch } from './item-streams.ts';
import { extensionIn, programRecipient, writingFor } from './notification.ts';
import { completeRecord } from './options.ts';
import type { ProgramOptions, ProgramRecord } from './options.ts';
import { LineLimit } from './output.ts';
import type { PollTransport } from './poll-transport.ts';
import { saysMissing } from './preparation.ts';
import { pluginState, satelliteState } from './supervision.ts';
import type { Supervised } from './supervision.ts';
import { Supervisor } from './supervisor.ts';
import type { SupervisorEvents, SupervisorParts } from './supervisor.ts';
import { requestOf } from './transport.ts';

/** Why something in a plugin failed. */
export interface Explained {
  readonly problem: PluginProblem;
  /** The source lines around the place. */
  readonly rows: readonly string[];
}

export interface ProgramParts extends SupervisorParts {
  /**
   * Reads the current record for a manual start or reload. Rejects with a RelayError PLUGIN_REFUSED. Default: the record never changes.
   */
  readonly renew?: (() => Promise<ProgramRecord>) | undefined;
  /** Explains why a new process could not replace the old one. Default: the name of the plugin and the unchanged reason. */
  readonly explain?: ((reason: string) => Promise<Explained>) | undefined;
  /** The source to display: the command of a program. */
  readonly file: string;
  readonly inbox: QueueLimits;
  /** Timeout for `plugin.handover`, and for calls in flight when their process is replaced, in ms. */
  readonly exitTimeoutMs: number;
  /** Timeout for one `notify`, in ms. */
  readonly receiveTimeoutMs: number;
  readonly deadLetters: Pick<DeadLetters, 'add'>;
  /** The queues of durable satellites. Default: it is not durable, whatever it says. */
  readonly durable?: DurableQueues | undefined;
  /** True while a failed start of this program makes the start of the relay fail. Default: never. */
  readonly isVital?: (() => boolean) | undefined;
  readonly events: EventSink<HostEvent>;
}

// A message during which the process ended this many times becomes a dead letter.
const MAX_DEATHS = 5;

export class Program implements HostedPlugin {
  readonly #parts: ProgramParts;
  readonly #inbox: Inbox;
  /** Runs reloads and renewals one at a time. */
  readonly #queue = new SerialQueue();
  readonly inboxes: readonly Inbox[];
  readonly #limit: LineLimit;
  /** The supervisor that receives messages and calls. */
  #supervisor: Supervisor;
  /** All supervisors that may have a process: the current one, its successor during a reload, and its predecessor until that has ended. */
  readonly #supervisors = new Set<Supervisor>();
  #methods: readonly HostedMethod[] = [];
  #port: RelayPort | undefined;
  #isReloading = false;
  /** False after a stop. */
  #isWanted = false;
  #restarts = 0;
  #lastError: string | undefined;
  #reloadError: string | undefined;

  constructor(parts: ProgramParts) {
    this.#parts = parts;
    const { record, inbox, receiveTimeoutMs, clock, log, events } = parts;
    const { name } = record;
    const queue = new BoundedQueue<Message>({ name, log, limits: inbox, bytesOf: heldBytes, sinceOf: ({ arrivedAt }) => arrivedAt });
    const recipient = programRecipient(
      {
        ...{ clock, timeoutMs: receiveTimeoutMs },
        writing: () => {
          if (record.send) return record.send;
          const reads = this.#supervisor.prepared?.reads;
          return reads && writingFor(reads);
        },
        hasEndedOrAnswers: () => this.#supervisor.hasEndedOrAnswers(),
        onUnwritable: (message, reason) => {
          parts.deadLetters.add({ satellite: name, message, deaths: 0, reason });
          log.error(`${name} cannot read the message ${clean(message.id)}: it is set aside (plugin.dead_letters): ${reason}`);
        },
      },
      (request, timeoutMs) => this.#supervisor.send(request, timeoutMs),
    );
    this.#inbox = new Inbox({
      ...{ name, plugin: name, queue, recipient, clock, log, events },
      // Known from an earlier run, before it can say it again.
      durable: parts.durable?.has(name) === true ? parts.durable.queue(name) : undefined,
      // The transport enforces the timeout.
      timeoutMs: Infinity,
      // The program's answers pace the delivery, so the next one may start at once.
      wake: (ready) => {
        ready.next();
      },
    });
    this.inboxes = [this.#inbox];
    this.#limit = new LineLimit(clock, (line) => {
      log.info(line);
    });
    this.#supervisor = this.#makeSupervisor(record);
  }

  get name(): string {
    return this.#parts.record.name;
  }

  get methods(): readonly HostedMethod[] {
    return this.#methods;
  }

  get offers(): Offers {
    return this.#isWanted ? this.#supervisor.offers : NO_OFFERS;
  }

  /** Takes items that one of its processes pushed. Resolves as `ItemStream.push` does; false if there is no such stream (any more). */
  async pushItems(stream: string, batch: ItemBatch): Promise<boolean> {
    for (const supervisor of this.#supervisors) {
      const taken = supervisor.pushItems(stream, batch);
      if (taken) return taken;
    }
    return false;
  }

  /** How values for it are encoded. Undefined: as they arrived. */
  get send(): WriteOptions | undefined {
    return this.#parts.record.send;
  }

  /** SHA-256 of the tokens of its processes, in hex. */
  get tokenHashes(): readonly string[] {
    return [...this.#supervisors].flatMap(({ tokenHash }) => tokenHash ?? []);
  }

  /** As {@link Supervisor.poll}. */
  get poll(): PollTransport | undefined {
    return this.#supervisor.poll;
  }

  async reportDelivery(satellite: string, { node = '', ...report }: DeliveryReport): Promise<void> {
    const { prepared, state } = this.#supervisor;
    if (!prepared || state.kind !== 'up') throw new RelayError('UNAVAILABLE', `${this.name} is not running`);
    if (!prepared.capabilities.has('on_delivery')) return;
    await this.#supervisor.send(requestOf('plugin.on_delivery', [{ satellite, ...report, node }]), this.#parts.receiveTimeoutMs);
  }

  noteFailure(method: string, error: unknown): string {
    const reason = clean(reasonOf(error), 500);
    this.#lastError = `${method}: ${reason}`;
    return reason;
  }

  get status(): PluginStatus {
    const { name } = this;
    const { kind, file } = this.#parts;
    const { state, pid, prepared } = this.#supervisor;
    return {
      ...{ name, kind, state: this.#stateOf(state), file, restarts: this.#restarts },
      version: prepared?.version,
      lastError: this.#lastError,
      reloadError: state.kind === 'up' ? this.#reloadError : undefined,
      pid,
      satellites: this.#satellites(),
    };
  }

  /** The satellites share one inbox, so its counters apply to each of them that receives messages. */
  #satellites(): readonly SatelliteStatus[] {
    const { name } = this;
    const { state, prepared } = this.#supervisor;
    const common = { module: name, file: this.#parts.file, state: satelliteState(state) };
    const { counters } = this.#inbox;
    const described = prepared?.satellites ?? [];
    if (described.length === 0) return [{ name, ...common, ...counters }];
    return described.map((one) => ({ name: one.name, ...common, ...(one.receives ? counters : NO_INBOX) }));
  }

  /**
   * Starts the program. Rejects with a RelayError PLUGIN_REFUSED if the first process does not become ready. Unless the state is `failed`
   * then, it is restarted automatically.
   */
  async start(port: RelayPort): Promise<void> {
    this.#port = port;
    this.#isWanted = true;
    this.#inbox.await();
    const { kind } = this.#supervisor.state;
    if (this.#parts.renew && (kind === 'stopped' || kind === 'failed')) await this.#queue.run((signal) => this.#renew(signal));
    await this.#supervisor.start();
    if (kind === 'stopped' || kind === 'failed') this.#lastError = undefined;
  }

  async stop(): Promise<void> {
    this.#isWanted = false;
    this.#queue.cancel(new RelayError('UNAVAILABLE', `plugin ${this.name} is being stopped`));
    this.#inbox.close();
    this.#inbox.abort();
    await Promise.all([...this.#supervisors].map((supervisor) => supervisor.stop()));
    await this.#queue.idle();
    this.#methods = [];
    this.#port?.expose(this.name, []);
  }

  /**
   * Starts a new process beside the running one, and replaces that once the new one is set up; messages are queued meanwhile. If that
   * fails, it rejects with a RelayError PLUGIN_REFUSED, and the old process continues to run. A program that is not up, or that fetches
   * its calls, is stopped and restarted instead.
   */
  reload(): Promise<void> {
    return this.#queue.run(async (signal) => {
      if (!this.#isWanted || !this.#port) throw refusal(this.name, 'it is stopped; start it instead', undefined, { reason: 'stopped' });
      // Whether it is up after its start determines how it is reloaded.
      if (this.#supervisor.state.kind === 'starting') await unlessAborted(signal, () => this.#supervisor.start().catch(() => undefined));
      const isBeside = this.#supervisor.state.kind === 'up' && this.#supervisor.poll === undefined;
      await (isBeside ? this.#replace(this.#supervisor, this.#port, signal) : this.#restart(signal));
    });
  }

  /** Writes a line of the program to its log, at most 100 lines per second. */
  say(level: 'debug' | 'info' | 'warn' | 'error', text: string): void {
    this.#limit.tell(text, (line) => {
      this.#parts.log[level](line);
    });
  }

  async #replace(old: Supervisor, port: RelayPort, signal: AbortSignal): Promise<void> {
    const { events, clock, exitTimeoutMs, file } = this.#parts;
    const { name } = this;
    const began = clock.now();
    this.#setReloading(true);
    let next: Successor | undefined;
    try {
      const record = await unlessAborted(signal, () => this.#currentRecord());
      const successor = new Successor((onDescribed) => this.#makeSupervisor(record, onDescribed));
      next = successor;
      await successor.introduce(signal);
      const methodsOf = (): readonly HostedMethod[] => this.#methods;
      const outgoing = {
        handsOver: old.prepared?.capabilities.has('handover') === true,
        // The old process may restart during the reload and then describe other methods.
        get methods() {
          return methodsOf();
        },
        finishCalls: (timeoutMs: number) => old.finishCalls(timeoutMs),
        pause: () => this.#inbox.pause(),
        resume: () => {
          this.#inbox.resume();
        },
        handOver: () => handOver(name, old, exitTimeoutMs, signal),
      };
      const onSwitch = (): void => {
        this.#adopt(successor);
      };
      await swap(outgoing, successor, { name, port, clock, signal, onSwitch });
    } catch (error) {
      if (next) await this.#end(next.supervisor);
      this.#setReloading(false);
      throw await this.#notReloaded(error, signal);
    }
    this.#setReloading(false);
    events.emit({ type: 'plugin.version', plugin: name, change: 'reloaded', file, ms: Math.round(clock.now() - began) });
    await old.finishCalls(exitTimeoutMs);
    await this.#end(old);
  }

  #adopt({ supervisor, methods }: Successor): void {
    this.#supervisor = supervisor;
    this.#methods = methods;
    this.#restarts++;
    this.#lastError = this.#reloadError = undefined;
    this.#open();
    this.#inbox.resume();
  }

  /** Stops the program and starts it with the current record. Messages are queued while it is down. */
  async #restart(signal: AbortSignal): Promise<void> {
    await unlessAborted(signal, () => this.#inbox.pause()).finally(() => {
      this.#inbox.resume();
    });
    await this.#supervisor.stop();
    signal.throwIfAborted();
    await this.#renew(signal);
    this.#inbox.await();
    await this.#supervisor.start();
    this.#lastError = undefined;
  }

  /** Reads the current record for the next start. Must be called without a process. */
  async #renew(signal: AbortSignal): Promise<void> {
    const record = await unlessAborted(signal, () => this.#currentRecord());
    this.#supervisors.delete(this.#supervisor);
    this.#supervisor = this.#makeSupervisor(record);
  }

  async #currentRecord(): Promise<ProgramOptions> {
    const { renew, record } = this.#parts;
    return renew ? completeRecord(await renew()) : record;
  }

  async #end(supervisor: Supervisor): Promise<void> {
    await supervisor.stop();
    this.#supervisors.delete(supervisor);
  }

  #makeSupervisor(record: ProgramOptions, onDescribed?: SupervisorEvents['onDescribed']): Supervisor {
    const isCurrent = (): boolean => supervisor === this.#supervisor;
    const supervisor: Supervisor = new Supervisor(
      { ...this.#parts, record },
      {
        onDescribed,
        onPrepared: () => {
          if (isCurrent()) this.#expose(supervisor.methods);
        },
        onChange: (after, before) => {
          if (isCurrent()) this.#changed(after, before);
        },
        onAlarm: (reason) => {
          if (isCurrent()) this.#alarm(reason);
        },
        onExit: (reason, isItsFault) => isCurrent() && this.#interrupted(reason, isItsFault),
      },
    );
    this.#supervisors.add(supervisor);
    return supervisor;
  }

  #expose(methods: readonly HostedMethod[]): void {
    this.#methods = methods;
    this.#port?.expose(this.name, methods);
  }

  #open(): void {
    const { prepared } = this.#supervisor;
    const receives = prepared?.capabilities.has('receive') ?? true;
    if (prepared) this.#inbox.setDurable(prepared.isDurable && receives ? this.#parts.durable?.queue(this.name) : undefined);
    this.#inbox.open(receives);
  }

  /** Handles the end of the process. Returns true if a message caused it; a message that does so repeatedly becomes a dead letter. */
  #interrupted(reason: string, isItsFault: boolean): boolean {
    const interrupted = this.#inbox.interrupt(isItsFault);
    if (!interrupted || !isItsFault) return false;
    const { message, deaths } = interrupted;
    if (deaths >= MAX_DEATHS) {
      const extension = this.send === undefined ? extensionIn(message, this.#parts.clock.now()) : undefined;
      const hint = `; perhaps it cannot read the message (${extension}): see send in programs, and reads in plugin.describe`;
      this.#parts.deadLetters.add({ satellite: this.name, message, deaths, reason: reason + (extension === undefined ? '' : hint) });
      this.#inbox.dropInterrupted();
    }
    return true;
  }

  #alarm(reason: string): void {
    const meaning = this.#parts.isVital?.()
      ? 'the relay does not start with it'
      : 'it is not started again by itself; start it by hand (plugin.start)';
    this.#parts.log.error(`${this.name} has failed: ${clean(reason, 500)}; ${meaning}`);
  }

  #changed(after: Supervised, before: Supervised): void {
    const { log, clock } = this.#parts;
    const { pid, prepared } = this.#supervisor;
    if (after.kind === 'backoff') {
      if (after.history.restarts.length > 0) this.#restarts++;
      log.warn(`${clean(after.reason, 500)}; it is started again in ${Math.round(after.until - clock.now())} ms`);
    }
    if (after.kind === 'backoff' || after.kind === 'failed') this.#lastError = after.reason;
    if (after.kind === 'up' && before.kind !== 'up') {
      this.#reloadError = undefined;
      log.info(`${this.name} is ready (process ${pid ?? ''}${prepared?.version === undefined ? '' : `, version ${prepared.version}`})`);
      this.#open();
    }
    const state = this.#stateOf(after);
    if (after.kind !== before.kind || !isSame(state, this.#stateOf(before))) this.#emitState(state);
  }

  /** Records and reports a failed reload. Resolves to the error to throw. */
  async #notReloaded(error: unknown, signal: AbortSignal): Promise<unknown> {
    // A stop cancels the reload on purpose, which is not a failure to report.
    if (signal.aborted) return error;
    const shortReason = clean(reasonOf(error).replace(`plugin ${this.name}: `, ''), 500);
    const { name: plugin } = this;
    const unexplained: Explained = { problem: { module: plugin, file: plugin, reason: shortReason }, rows: [] };
    const { problem, rows } = (await this.#parts.explain?.(shortReason)) ?? unexplained;
    const place = placeOf(problem);
    this.#lastError = this.#reloadError = place === plugin ? problem.reason : `${place}: ${problem.reason}`;
    this.#parts.events.emit({ type: 'plugin.problem', plugin, problem, outcome: NOT_RELOADED, rows });
    return refusal(this.name, this.#lastError, error);
  }

  /** The public state. A reload is visible only while the current process is healthy. */
  #stateOf(state: Supervised): PluginState {
    const own = pluginState(state);
    return this.#isReloading && (own.type === 'ready' || own.type === 'busy') ? { type: 'reloading' } : own;
  }

  #setReloading(isReloading: boolean): void {
    this.#isReloading = isReloading;
    this.#emitState(this.#stateOf(this.#supervisor.state));
  }

  #emitState(state: PluginState): void {
    this.#parts.events.emit({ type: 'plugin.state', plugin: this.name, state });
  }
}

function isSame(one: PluginState, other: PluginState): boolean {
  if (one.type === 'unresponsive' && other.type === 'unresponsive') return one.missed === other.missed;
  return one.type === other.type;
}

/** The state that a process hands over to its successor; undefined for none. */
type State = Sendable | undefined;

/** The new process of a reload. It pauses after its description until it receives the state of its predecessor. */
class Successor implements Incoming<State> {
  readonly supervisor: Supervisor;
  readonly #described: Promise<void>;
  /** Continues its setup with the state to restore. */
  #continueSetup: (state: State) => void = () => undefined;
  #started: Promise<void> | undefined;

  /** `make` creates its supervisor without starting it. */
  constructor(make: (onDescribed: SupervisorEvents['onDescribed']) => Supervisor) {
    let markDescribed = (): void => undefined;
    this.#described = new Promise((resolve) => (markDescribed = resolve));
    const state = new Promise<State>((resolve) => (this.#continueSetup = resolve));
    let isFirst = true;
    this.supervisor = make(() => {
      // A later restart of the same program begins without state.
      if (!isFirst) return Promise.resolve(undefined);
      isFirst = false;
      markDescribed();
      return state;
    });
  }

  get methods(): readonly HostedMethod[] {
    return this.supervisor.methods;
  }

  /** Starts it. Resolves when it has described itself. Rejects with a RelayError PLUGIN_REFUSED or the signal's reason. */
  async introduce(signal: AbortSignal): Promise<void> {
    this.#started = this.supervisor.start();
    await unlessAborted(signal, () => Promise.race([this.#described, this.#started]));
  }

  async setUp({ signal, states }: { readonly signal: AbortSignal; readonly states: State }): Promise<void> {
    this.#continueSetup(states);
    await unlessAborted(signal, () => this.#started);
  }

  async exit(): Promise<void> {
    await this.supervisor.stop();
  }
}

/** Resolves to the old process's state; undefined if there is none. Rejects with a RelayError PLUGIN_REFUSED or the signal's reason. */
async function handOver(name: string, old: Supervisor, timeoutMs: number, signal: AbortSignal): Promise<State> {
  // The state of a process that has ended is lost.
  if (old.state.kind !== 'up' || old.prepared?.capabilities.has('handover') !== true) return undefined;
  const ask = (): Promise<State> => old.sendExact(requestOf('plugin.handover', []), timeoutMs);
  try {
    return await unlessAborted(signal, ask);
  } catch (error) {
    const { code } = RelayError.is(error) ? error : { code: '' };
    if (code === 'TRANSPORT' || saysMissing(error, 'plugin.handover')) return undefined;
    // A child process reports the failure with this error itself.
    throw code === 'PLUGIN_REFUSED' || signal.aborted ? error : notHandedOver(name, clean(reasonOf(error), 500), error);
  }
}
