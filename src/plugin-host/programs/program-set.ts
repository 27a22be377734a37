/** Holds the programs of a host, what they share, and their calls to the relay. */
import type { WriteOptions } from '../../xmlrpc/xmlrpc.ts';
import { clean, RelayError, suggest } from '../../core/core.ts';
import type { Clock, LogSource, MaybePromise } from '../../core/core.ts';
import type { EventSink } from '../../events/events.ts';
import type { Message } from '../../message/message.ts';
import type { DurableQueues, HostedOptions, HostEvent } from '../hosted/hosted.ts';
import { DeadLetters } from './dead-letters.ts';
import { KeptLetters } from './kept-letters.ts';
import type { KeptLettersParts } from './kept-letters.ts';
import type { ItemBatch } from './item-streams.ts';
import { completeRecord } from './options.ts';
import type { ProgramRecord } from './options.ts';
import { OrphanWatch } from './orphan-watch.ts';
import { PauseWatch } from './pause-watch.ts';
import type { ProgramAnswer, ProgramCall } from './poll-transport.ts';
import { Program } from './program.ts';
import type { ProgramParts } from './program.ts';

/** What programs need to know about the relay. */
export interface ProgramSurroundings {
  /** The URL at which they call the relay, without credentials; known once it listens. */
  readonly relayUrl: () => string;
  /** Their working directories are created here. */
  readonly stateDir: string;
  /** The largest response of a program, in bytes. */
  readonly maxBodyBytes: number;
  /** The version of the relay. */
  readonly version: string;
  /** Random numbers, uniform in [0, 1). */
  readonly random: () => number;
  /** The relay's own environment, from which programs inherit a few variables. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Answers a call that a child makes over its pipe, as the call of the plugin of this name; never rejects. Default: it makes none. */
  readonly answerChild?: ((plugin: string, document: Buffer, gone: AbortSignal) => MaybePromise<Buffer>) | undefined;
  /** Stores dead letters durably. Default: they are only in memory. */
  readonly keepLetters?: KeptLettersParts | undefined;
}

export interface ProgramsParts {
  readonly options: HostedOptions;
  readonly surroundings: ProgramSurroundings;
  readonly clock: Clock;
  readonly logs: LogSource;
  readonly events: EventSink<HostEvent>;
  /** The queues of durable satellites. Default: there are none. */
  readonly durable?: DurableQueues | undefined;
  /** Puts a message into the inbox of a satellite; false if there is none of this name, or it takes none. */
  readonly deliverTo: (satellite: string, message: Message) => boolean;
}

/** The token that authenticates a program as the plugin of this name. */
export interface PluginToken {
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly sha256: string;
  /** How answers to it are encoded. Undefined: as for any program. */
  readonly send?: WriteOptions | undefined;
}

export class Programs {
  readonly #parts: ProgramsParts;
  readonly #plugins = new Map<string, Program>();
  readonly #orphans: OrphanWatch;
  readonly #pauses: PauseWatch;
  readonly deadLetters: DeadLetters;
  #tokens: readonly PluginToken[] | undefined;

  constructor(parts: ProgramsParts) {
    this.#parts = parts;
    this.#orphans = new OrphanWatch(parts.logs('plugin-host'));
    this.#pauses = new PauseWatch(parts.clock, parts.logs('plugin-host'));
    const { clock, logs, surroundings, deliverTo } = parts;
    const kept = surroundings.keepLetters && new KeptLetters(surroundings.keepLetters, clock, logs('plugin-host'));
    this.deadLetters = new DeadLetters(clock, deliverTo, kept);
  }

  /** Creates the plugin for a record without starting it. `over` overrides the defaults for programs of the operator. */
  add(
    record: ProgramRecord,
    over: Partial<
      Pick<ProgramParts, 'kind' | 'file' | 'setupTimeoutMs' | 'explainEnd' | 'renew' | 'explain' | 'isVital' | 'onFirstAnswer'>
    > = {},
  ): Program {
    const { options, surroundings, clock, logs, events, durable } = this.#parts;
    const { inbox, setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs } = options;
    const plugin = new Program({
      ...{ record: completeRecord(record), inbox, setupTimeoutMs, exitTimeoutMs, receiveTimeoutMs, clock, events, durable },
      ...surroundings,
      kind: 'program',
      file: clean([record.exec, ...(record.args ?? [])].join(' ')),
      ...over,
      log: logs(`plugin.${record.name}`),
      orphans: this.#orphans,
      pauses: this.#pauses,
      deadLetters: this.deadLetters,
      onToken: () => {
        this.#tokens = undefined;
      },
    });
    this.#plugins.set(plugin.name, plugin);
    return plugin;
  }

  /** Removes a program that was stopped. */
  remove(name: string): void {
    this.#plugins.delete(name);
    this.#tokens = undefined;
  }

  /** The tokens of all processes. Returns the same array until something changes. */
  tokens(): readonly PluginToken[] {
    this.#tokens ??= [...this.#plugins.values()].flatMap(({ name, tokenHashes, send }) =>
      tokenHashes.map((sha256) => ({ name, sha256, send })),
    );
    return this.#tokens;
  }

  /**
   * Resolves to the next call for a program that polls; undefined if there was none within `waitMs`. Rejects with RelayErrors
   * INVALID_PARAMS, UNAVAILABLE and RATE_LIMITED.
   */
  async nextCall(plugin: string, waitMs: number, gone?: AbortSignal): Promise<ProgramCall | undefined> {
    return this.#pollOf(plugin).next(waitMs, gone);
  }

  /** Settles a call with the answer of a program that polls. Throws RelayErrors INVALID_PARAMS and UNAVAILABLE. */
  answerCall(plugin: string, id: string, answer: ProgramAnswer): void {
    this.#pollOf(plugin).answer(id, answer);
  }

  /** Takes items that a program pushed; see `ItemStream.push`. Resolves to false if there is no such stream. */
  pushItems(plugin: string, stream: string, batch: ItemBatch): Promise<boolean> {
    return this.#find(plugin).pushItems(stream, batch);
  }

  /** Writes a text of a program to its log, as one line. Throws a RelayError INVALID_PARAMS if the plugin or level does not exist. */
  log(plugin: string, level: string, text: string): void {
    const levels = ['debug', 'info', 'warn', 'error'] as const;
    const known = levels.find((one) => one === level);
    if (!known) throw new RelayError('INVALID_PARAMS', `there is no level '${clean(level, 20)}'${suggest(level, levels)}`);
    this.#find(plugin).say(known, text.replaceAll('\n', ' | '));
  }

  /** Stops the orphan watch. All processes must have ended. */
  async stop(): Promise<void> {
    await this.#orphans.stop();
  }

  #pollOf(name: string) {
    const { poll } = this.#find(name);
    if (poll) return poll;
    throw new RelayError('INVALID_PARAMS', `${name} said in its first line that it has a server: it is called there`);
  }

  #find(name: string): Program {
    const plugin = this.#plugins.get(name);
    if (plugin) return plugin;
    throw new RelayError('INVALID_PARAMS', `there is no program '${clean(name)}'${suggest(name, [...this.#plugins.keys()])}`, {
      data: { reason: 'unknown-name' },
    });
  }
}
