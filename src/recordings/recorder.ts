/** All recordings of this relay: which are wanted, where their frames go, and how they are read. */
import { randomBytes } from 'node:crypto';
import { RelayError, SerialQueue, clean, reasonOf, suggest } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import { frameLine } from '../json/json.ts';
import type { EventSink } from '../events/events.ts';
import { requireOffer } from '../plugin-host/plugin-host.ts';
import type { Frame, HostedDatasource } from '../plugin-host/plugin-host.ts';
import type { RecordingEvent } from '../relay/relay.ts';
import type { Store } from '../store/store.ts';
import type { Sendable } from '../values/values.ts';
import { openFrameFile, pathOfFile } from './frame-file.ts';
import { frameOnWire } from './frames.ts';
import { KeptFrames } from './kept-frames.ts';
import type { KeptStatus } from './kept-frames.ts';
import type { RecordingLimits, RecordingSettings, RecordingTargets } from './options.ts';
import { Recording, reasonIn } from './recording.ts';
import type { RecordingCounters, RecordingState } from './recording.ts';
import { replay } from './replay.ts';
import type { ReplayOptions, ReplayPage } from './replay.ts';
import { Follower } from './targets.ts';
import type { FrameTarget, TargetStatus } from './targets.ts';

export interface RecorderParts {
  /** What plugins offer now, by name. */
  readonly datasources: () => ReadonlyMap<string, HostedDatasource>;
  /** The settings of config.ts, by name. */
  readonly settings: Readonly<Record<string, RecordingSettings>>;
  readonly limits: RecordingLimits;
  readonly store: Store;
  /** The absolute path of the directory for files that are only named. */
  readonly directory: string;
  /** Sends a dict to all satellites and peers. */
  readonly send: (recording: string, dict: Sendable) => Promise<unknown>;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly random: () => number;
  readonly events: EventSink<RecordingEvent>;
  readonly log: Log;
}

/** A recording as it is now. */
export interface RecordingStatus {
  readonly name: string;
  readonly help: string;
  /** False if no plugin that runs has this datasource. */
  readonly isOffered: boolean;
  readonly state: RecordingState;
  readonly counters: RecordingCounters;
  readonly latest: Frame | undefined;
  /** Subscribers that wait at the moment. */
  readonly readers: number;
  /** Frames that slow subscribers missed, all together. */
  readonly missed: number;
  /** Cursors of the first frame of the current or last recording that is kept, and of the next frame; `''` before the first recording. */
  readonly first: string;
  readonly next: string;
  readonly targets: Readonly<Record<string, TargetStatus>>;
  readonly kept: KeptStatus;
}

/** Which frames a subscriber wants. */
export interface Subscription {
  /** `first`: from the first frame of the current recording on, or of the next one. `now`: those that come from now on. Or a cursor. */
  readonly from: string;
  readonly maxBytes?: number | undefined;
  readonly waitMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Frames for a subscriber. */
export interface FramePage {
  readonly frames: readonly Frame[];
  readonly next: string;
  /** Frames between the cursor and the first of these that are not kept any more. */
  readonly missed: number;
  /** True if the cursor is from before a restart of the relay, so that these begin with the first frame. */
  readonly isReset: boolean;
  readonly state: RecordingState;
}

/** An event for a subscriber over HTTP. */
export interface FrameEvent {
  readonly type: 'state' | 'frame' | 'end';
  /** From where to go on after it. */
  readonly id: string | undefined;
  /** One line of JSON. */
  readonly data: string;
}

/** A recording with what follows it. */
interface Kept {
  readonly recording: Recording;
  /** Tells cursors of this run of the relay from others. */
  readonly epoch: string;
  readonly limits: string;
  readonly followers: Map<keyof RecordingTargets, Follower>;
  readonly watchers: Set<() => void>;
  /** The path of its file. */
  file?: string | undefined;
  /** Resolves when the targets of earlier recordings have ended. */
  ending: Promise<void>;
}

const TABLE = 'recordings';
const WAIT_MS = 10_000;
const PAGE_BYTES = 64 * 1024;
const OVERFLOW_BYTES = 256 * 1024;

export class Recorder {
  readonly #parts: RecorderParts;
  readonly #kept: KeptFrames;
  readonly #recordings = new Map<string, Kept>();
  /** What is to be recorded as soon as it is offered. */
  readonly #awaited = new Map<string, RecordingTargets>();
  readonly #queue = new SerialQueue();
  #isOpen = false;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.#kept = new KeptFrames(parts);
  }

  /** Starts what config.ts says, and what was started by hand in earlier runs of the relay. */
  async start(): Promise<void> {
    const { store, settings, log } = this.#parts;
    await this.#kept.start();
    for (const [name, { start = false, ...targets }] of Object.entries(settings)) if (start) this.#awaited.set(name, targets);
    for await (const { key, value } of store.entries(TABLE)) this.#awaited.set(key, JSON.parse(value.toString()) as RecordingTargets);
    this.#isOpen = true;
    this.refresh();
    const names = [...this.#parts.datasources().keys()];
    for (const name of this.#awaited.keys())
      log.warn(`${name} is not recorded until a plugin offers this datasource${suggest(name, names)}`);
  }

  /** Plugins may have started or ended. */
  readonly refresh = (): void => {
    if (!this.#isOpen) return;
    const all = this.#parts.datasources();
    for (const [name, targets] of this.#awaited) {
      if (!all.has(name)) continue;
      this.#awaited.delete(name);
      void this.#queue
        .run(() => this.#start(name, targets))
        .catch((error: unknown) => {
          this.#of(name).recording.refuse(reasonOf(error));
        });
    }
    for (const { recording } of this.#recordings.values()) recording.refresh();
  };

  /** Ends all recordings; those that were started are started again with the next run of the relay. */
  async stop(): Promise<void> {
    this.#isOpen = false;
    this.#queue.cancel(new RelayError('UNAVAILABLE', 'the relay stops'));
    await Promise.all([...this.#recordings.values()].map((kept) => this.#end(kept)));
    this.#kept.stop();
  }

  /** All datasources and recordings, by name. */
  list(): readonly RecordingStatus[] {
    const { datasources, settings } = this.#parts;
    const names = new Set([...datasources().keys(), ...this.#recordings.keys(), ...this.#awaited.keys(), ...this.#kept.names]);
    for (const [name, { start = false }] of Object.entries(settings)) if (start) names.add(name);
    return [...names].sort().map((name) => this.#statusOf(name));
  }

  /** Throws a RelayError INVALID_PARAMS if there is no such datasource or recording. */
  status(name: string): RecordingStatus {
    return this.#statusOf(this.#nameOf(name));
  }

  /**
   * Starts a recording, or adds targets to one that runs; the settings of config.ts apply, and over them those of `targets`. Resolves once
   * it is started, and will be again after a restart of the relay. Rejects with a RelayError INVALID_PARAMS, UNAVAILABLE or
   * STATE_DIRECTORY.
   */
  async startRecording(wanted: string, targets: RecordingTargets): Promise<RecordingStatus> {
    const name = this.#nameOf(wanted);
    const { start: _start, ...configured } = this.#parts.settings[name] ?? {};
    const merged = { ...configured, ...targets };
    await this.#queue.run(async () => {
      await this.#start(name, merged);
      await this.#parts.store.write([{ type: 'put', table: TABLE, key: name, value: Buffer.from(JSON.stringify(merged)) }]);
    });
    return this.#statusOf(name);
  }

  /** Stops a recording; one that is idle stays so. Rejects with a RelayError INVALID_PARAMS. */
  async stopRecording(wanted: string): Promise<RecordingStatus> {
    const name = this.#nameOf(wanted);
    await this.#queue.run(async () => {
      this.#awaited.delete(name);
      const kept = this.#recordings.get(name);
      if (kept) await this.#end(kept);
      await this.#forget(name);
    });
    return this.#statusOf(name);
  }

  /** Frames for a subscriber that polls. Rejects with a RelayError INVALID_PARAMS, or the reason of the signal. */
  async page(wanted: string, { from, maxBytes = OVERFLOW_BYTES, waitMs = 0, signal }: Subscription): Promise<FramePage> {
    const name = this.#nameOf(wanted);
    const kept = this.#of(name);
    const { offset, isReset } = this.#offsetOf(kept, from);
    const page = await this.#next(kept, offset, { maxBytes, waitMs, signal });
    return {
      frames: page.items.map(({ item }) => item),
      next: cursorOf(kept, page.next),
      missed: page.missed,
      isReset,
      state: kept.recording.state,
    };
  }

  /** The frames and states of a recording from a cursor on, as they come. Throws as {@link page} does. */
  async *events(
    wanted: string,
    { from, signal }: { readonly from: string; readonly signal: AbortSignal },
  ): AsyncGenerator<FrameEvent, void> {
    const name = this.#nameOf(wanted);
    const kept = this.#of(name);
    let { offset } = this.#offsetOf(kept, from);
    for (let shown: RecordingState | undefined; ;) {
      const { state } = kept.recording;
      if (state !== shown) yield stateEvent(name, state);
      shown = state;
      const page = await this.#next(kept, offset, { maxBytes: PAGE_BYTES, waitMs: WAIT_MS, signal });
      for (const { next, item } of page.items) yield { type: 'frame', id: cursorOf(kept, next), data: frameLine(item) };
      offset = page.next;
      signal.throwIfAborted();
    }
  }

  /** Frames that the store keeps, when they are due. Rejects with a RelayError INVALID_PARAMS. */
  replay(wanted: string, options: ReplayOptions): Promise<ReplayPage> {
    const { clock, date } = this.#parts;
    return replay({ kept: this.#kept, clock, date }, this.#nameOf(wanted), options);
  }

  /** As {@link replay}, as events to its end. */
  async *replayEvents(wanted: string, options: Omit<ReplayOptions, 'waitMs' | 'maxBytes'>): AsyncGenerator<FrameEvent, void> {
    let { cursor } = options;
    for (;;) {
      const page = await this.replay(wanted, { ...options, cursor, maxBytes: PAGE_BYTES, waitMs: WAIT_MS });
      for (const [index, frame] of page.frames.entries())
        yield { type: 'frame', id: index === page.frames.length - 1 ? page.next : undefined, data: frameLine(frame) };
      cursor = page.next;
      options.signal?.throwIfAborted();
      if (!page.isEnd) continue;
      yield { type: 'end', id: 'end', data: '{}' };
      return;
    }
  }

  /** Throws a RelayError INVALID_PARAMS if there is no such recording, and no datasource of this name. */
  requireName(wanted: string): void {
    this.#nameOf(wanted);
  }

  async #start(name: string, targets: RecordingTargets): Promise<void> {
    const kept = this.#of(name, true);
    const { recording, followers } = kept;
    await kept.ending;
    const opened = await this.#open(kept, targets);
    // A target that is added later gets what comes from then on.
    const from = recording.start() ? recording.first : recording.stream.next;
    for (const [kind, target] of opened)
      followers.set(kind, new Follower(recording.stream, target, `${name} to ${kind}`, this.#parts.log, from));
  }

  /** Opens the targets that are not open yet. */
  async #open(kept: Kept, { dicts = false, file, store = false }: RecordingTargets): Promise<Map<keyof RecordingTargets, FrameTarget>> {
    const { limits, directory } = this.#parts;
    const { recording, followers } = kept;
    const opened = new Map<keyof RecordingTargets, FrameTarget>();
    if (file !== undefined) {
      const path = pathOfFile(file, directory, limits.directories);
      if (followers.has('file') && kept.file !== path)
        throw new RelayError('INVALID_PARAMS', `${recording.name} is written to another file already; stop it first`);
      const other = [...this.#recordings.values()].find((one) => one !== kept && one.followers.has('file') && one.file === path);
      if (other) throw new RelayError('INVALID_PARAMS', `the file '${clean(file, 200)}' is that of ${other.recording.name}`);
      if (!followers.has('file')) opened.set('file', await openFrameFile(file, directory, limits));
      kept.file = path;
    }
    if (dicts && !followers.has('dicts')) opened.set('dicts', this.#dicts(recording.name));
    if (store && !followers.has('store')) opened.set('store', this.#kept.writer(recording.name));
    return opened;
  }

  #dicts(name: string): FrameTarget {
    const { send } = this.#parts;
    return {
      write: async (frames) => {
        for (const frame of frames) await send(name, { data: { recording: name, frame: frameOnWire(frame) } });
      },
      close: () => Promise.resolve(),
    };
  }

  /** Stops a recording, and its targets once they have everything. */
  async #end(kept: Kept): Promise<void> {
    await kept.recording.stop();
    await endTargets(kept);
  }

  async #forget(name: string): Promise<void> {
    await this.#parts.store.write([{ type: 'delete', table: TABLE, key: name }], { isProgress: true });
  }

  /** The recording of this name, which is made if there is none. One that starts again follows the current options of its datasource. */
  #of(name: string, isStarting = false): Kept {
    const source = this.#parts.datasources().get(name);
    const { overflow = 'drop-oldest', maxFrames = 1, maxBytes = 1 } = source ?? {};
    const limits = [overflow, maxFrames, maxBytes].join(' ');
    const known = this.#recordings.get(name);
    if (known && !(isStarting && source && !known.recording.isWanted && known.limits !== limits)) return known;
    const {
      clock,
      random,
      log,
      events,
      datasources,
      limits: { maxFrameBytes, maxBufferedBytes },
    } = this.#parts;
    const kept: Kept = {
      recording: new Recording(
        {
          ...{ name, maxFrameBytes, maxBufferedBytes, clock, random, log },
          source: () => datasources().get(name),
          onState: (state) => {
            events.emit({ type: 'recording.state', recording: name, state: state.type, reason: reasonIn(state) });
            for (const wake of kept.watchers) wake();
            if (!kept.recording.isWanted && this.#isOpen) this.#over(kept, state);
          },
        },
        { overflow, maxFrames, maxBytes },
      ),
      ...{ epoch: randomBytes(4).toString('hex'), limits, followers: new Map(), watchers: new Set(), ending: Promise.resolve() },
    };
    this.#recordings.set(name, kept);
    return kept;
  }

  /** It ended by itself, or has failed. One that has failed is tried again with the next run of the relay. */
  #over(kept: Kept, { type }: RecordingState): void {
    const { name } = kept.recording;
    void endTargets(kept);
    if (type === 'idle') void this.#forget(name).catch(() => undefined);
  }

  /** The next page, also an empty one as soon as the state changes. */
  async #next(
    { recording: { stream }, watchers }: Kept,
    from: number,
    { maxBytes, waitMs, signal }: { readonly maxBytes: number; readonly waitMs: number; readonly signal: AbortSignal | undefined },
  ): ReturnType<Recording['stream']['page']> {
    if (waitMs === 0 || stream.next > from) return stream.page({ from, maxBytes });
    const changed = new AbortController();
    const wake = (): void => {
      changed.abort();
    };
    watchers.add(wake);
    try {
      const ends = signal ? AbortSignal.any([signal, changed.signal]) : changed.signal;
      return await stream.page({ from, maxBytes, waitMs, signal: ends });
    } catch (error) {
      if (!changed.signal.aborted || signal?.aborted === true) throw error;
      return await stream.page({ from, maxBytes });
    } finally {
      watchers.delete(wake);
    }
  }

  #offsetOf({ recording, epoch }: Kept, from: string): { readonly offset: number; readonly isReset: boolean } {
    if (from === 'first') return { offset: recording.first, isReset: false };
    if (from === 'now') return { offset: recording.stream.next, isReset: false };
    const [, run, offset] = /^([0-9a-f]{8})_(\d{1,15})$/.exec(from) ?? [];
    if (run === undefined) throw new RelayError('INVALID_PARAMS', `'${clean(from, 60)}' is not a cursor; begin with 'first' or 'now'`);
    const isReset = run !== epoch || Number(offset) > recording.stream.next;
    return { offset: isReset ? recording.first : Number(offset), isReset };
  }

  #nameOf(wanted: string): string {
    if (this.#recordings.has(wanted) || this.#awaited.has(wanted) || this.#kept.names.includes(wanted)) return wanted;
    const all = this.#parts.datasources();
    return requireOffer('datasource', wanted, all).name;
  }

  #statusOf(name: string): RecordingStatus {
    const source = this.#parts.datasources().get(name);
    const kept = this.#recordings.get(name);
    const { recording } = kept ?? {};
    const { readers = 0, missed = 0 } = recording?.stream.status() ?? {};
    const reason = 'no plugin that runs has this datasource';
    const idle: RecordingState = this.#awaited.has(name) ? { type: 'backoff', attempt: 0, until: undefined, reason } : { type: 'idle' };
    return {
      ...{ name, help: source?.help ?? '', isOffered: source !== undefined, state: recording?.state ?? idle },
      counters: recording?.counters ?? { frames: 0, bytes: 0, restarts: 0, timeouts: 0 },
      ...{ latest: recording?.latest, readers, missed },
      first: kept ? cursorOf(kept, kept.recording.first) : '',
      next: kept ? cursorOf(kept, kept.recording.stream.next) : '',
      targets: Object.fromEntries([...(kept?.followers ?? [])].map(([kind, follower]) => [kind, follower.status])),
      kept: this.#kept.status(name),
    };
  }
}

/** Resolves when the targets have everything and are closed. Never rejects. */
function endTargets(kept: Kept): Promise<void> {
  const all = [...kept.followers.values()];
  kept.followers.clear();
  kept.ending = Promise.all([kept.ending, ...all.map((follower) => follower.stop())]).then(() => undefined);
  return kept.ending;
}

function cursorOf({ epoch }: Kept, offset: number): string {
  return `${epoch}_${offset}`;
}

function stateEvent(recording: string, state: RecordingState): FrameEvent {
  return { type: 'state', id: undefined, data: JSON.stringify({ recording, state: state.type, reason: reasonIn(state) }) };
}
