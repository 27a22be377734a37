/**
 * The recording of one datasource: it is started, watched, restarted after a crash, and stopped; its frames are kept for subscribers, each
 * of which begins at any frame that is kept.
 */
import { setImmediate } from 'node:timers/promises';
import { RelayError, clean, nextDelay, reasonOf } from '../core/core.ts';
import type { BackOff, Clock, Log } from '../core/core.ts';
import { PluginEnded } from '../plugin-host/plugin-host.ts';
import type { Frame, HostedDatasource } from '../plugin-host/plugin-host.ts';
import { Stream, memoryItems } from '../streams/streams.ts';
import { bytesOfFrame } from './frames.ts';

/** The state of a recording. Times are by the clock of the relay. */
export type RecordingState =
  | { readonly type: 'idle' }
  /** Frames may come at any time. */
  | { readonly type: 'recording' }
  /** The next frame is late: `missed` timeouts in a row. */
  | { readonly type: 'unresponsive'; readonly missed: number }
  /** It ended, and is started again at `until`; undefined: as soon as its plugin runs again. */
  | { readonly type: 'backoff'; readonly attempt: number; readonly until: number | undefined; readonly reason: string }
  /** It is not started again by itself, except with its plugin if that has failed. */
  | { readonly type: 'failed'; readonly reason: string };

export interface RecordingParts {
  readonly name: string;
  /** The datasource, as its plugin offers it now; undefined while it does not. */
  readonly source: () => HostedDatasource | undefined;
  readonly maxFrameBytes: number;
  readonly maxBufferedBytes: number;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** Called for each change of state. */
  readonly onState: (state: RecordingState) => void;
}

/** Counters of a recording since the relay started. */
export interface RecordingCounters {
  readonly frames: number;
  readonly bytes: number;
  /** How often it was started again by itself. */
  readonly restarts: number;
  /** Timeouts, whether or not frames came afterwards. */
  readonly timeouts: number;
}

// As for processes of plugins: full jitter, from half a second to a minute.
const RESTART_DELAY: BackOff = { firstMs: 500, factor: 2, maxMs: 60_000, jitter: 1 };
// After this many failures in a row nobody expects another start to help.
const MAX_RESTARTS = 5;
// One that recorded for this long was well, and its earlier failures are forgotten.
const WELL_MS = 60_000;
// A datasource that yields without ever waiting must not keep the event loop for longer.
const TURN_MS = 10;
const FRAMES_PER_LOOK = 64;

export class Recording {
  readonly name: string;
  readonly stream: Stream<Frame>;
  readonly #parts: RecordingParts;
  #state: RecordingState = { type: 'idle' };
  #isWanted = false;
  #run: Run | undefined;
  /** The offset of the first frame of the current recording, or of the last one. */
  #first = 0;
  #failures = 0;
  #cancelRestart = (): void => undefined;
  #latest: Frame | undefined;
  #counters = { frames: 0, bytes: 0, restarts: 0, timeouts: 0 };

  /** `about` has the limits of the frames that are kept. */
  constructor(parts: RecordingParts, about: Pick<HostedDatasource, 'overflow' | 'maxFrames' | 'maxBytes'>) {
    const { name, clock, maxBufferedBytes } = parts;
    this.name = name;
    this.#parts = parts;
    this.stream = new Stream<Frame>({
      ...{ id: name, clock, report: () => undefined },
      storage: memoryItems({
        ...{ maxItems: about.maxFrames, maxBytes: Math.min(about.maxBytes, maxBufferedBytes), overflow: about.overflow },
        ...{ bytesOf: bytesOfFrame, keyOf: ({ source }) => source },
      }),
    });
  }

  get state(): RecordingState {
    return this.#state;
  }

  /** True from its start until its end or its stop, whether frames come or not. */
  get isWanted(): boolean {
    return this.#isWanted;
  }

  get first(): number {
    return this.#first;
  }

  /** The newest frame since the relay started. */
  get latest(): Frame | undefined {
    return this.#latest;
  }

  get counters(): RecordingCounters {
    return this.#counters;
  }

  /** Starts it, or waits for its plugin. False if it was started already. */
  start(): boolean {
    if (this.#isWanted && this.#state.type !== 'failed') return false;
    this.#isWanted = true;
    this.#failures = 0;
    this.#first = this.stream.next;
    this.#begin();
    return true;
  }

  /** Stops it; what was recorded is kept for subscribers. Resolves when its datasource has been told. */
  async stop(): Promise<void> {
    this.#isWanted = false;
    this.#cancelRestart();
    const run = this.#run;
    run?.abort(new RelayError('UNAVAILABLE', 'the recording was stopped'));
    await run?.ended;
    // It may have been started again meanwhile.
    if (!this.#isStarted()) this.#setState({ type: 'idle' });
  }

  /** It cannot be recorded as it is configured. */
  refuse(reason: string): void {
    if (!this.#isWanted) this.#fail(clean(reason, 500));
  }

  /** Its plugin may have started or ended. */
  refresh(): void {
    const state = this.#state;
    const isDelayed = state.type === 'backoff' && state.until !== undefined;
    if (this.#isWanted && !this.#run && !isDelayed) this.#begin();
  }

  #isStarted(): boolean {
    return this.#isWanted;
  }

  #begin(): void {
    const source = this.#parts.source();
    if (source?.readiness === 'ready') {
      this.#setState({ type: 'recording' });
      const run: Run = new Run(source, {
        ...this.#parts,
        onFrame: (frame) => {
          this.#take(frame);
        },
        onMissed: (missed) => {
          this.#counters.timeouts++;
          this.#setState({ type: 'unresponsive', missed });
        },
        onWell: () => {
          this.#setState({ type: 'recording' });
        },
        onEnd: (end) => {
          if (this.#run !== run) return;
          this.#run = undefined;
          if (this.#isWanted) this.#ended(end);
        },
      });
      this.#run = run;
    } else if (source?.readiness === 'failed')
      this.#setState({ type: 'failed', reason: 'its plugin has failed; start that by hand (plugin.start)' });
    else this.#wait('its plugin does not run');
  }

  #take(frame: Frame): void {
    const { maxFrameBytes, name } = this.#parts;
    if (frame.payload.length > maxFrameBytes)
      throw new RelayError('LIMIT', `${name}: a frame has ${frame.payload.length} bytes (recordingLimits.maxFrameBytes: ${maxFrameBytes})`);
    void this.stream.push(frame);
    this.#latest = frame;
    this.#counters.frames++;
    this.#counters.bytes += frame.payload.length;
  }

  #ended({ error, ms, isHopeless }: RunEnd): void {
    const { source, log, clock, random } = this.#parts;
    if (error === undefined) {
      this.#isWanted = false;
      this.#setState({ type: 'idle' });
      return;
    }
    const reason = clean(reasonOf(error), 500);
    if (isHopeless) this.#fail(reason);
    else if (PluginEnded.isEnd(error) || source()?.readiness !== 'ready') {
      // The plugin is restarted, or has been replaced; its supervision counts the failures.
      this.#counters.restarts++;
      if (source()?.readiness === 'down' || !source()) this.#wait(reason);
      else this.#begin();
    } else {
      this.#failures = ms >= WELL_MS ? 1 : this.#failures + 1;
      if (this.#failures > MAX_RESTARTS) {
        this.#fail(`it was started ${MAX_RESTARTS} times and failed each time; the last time: ${reason}`);
        return;
      }
      const delayMs = nextDelay(this.#failures - 1, RESTART_DELAY, random);
      log.warn(`${this.name}: ${reason}; it is started again in ${delayMs} ms`);
      this.#cancelRestart = clock.after(delayMs, () => {
        this.#counters.restarts++;
        this.#begin();
      });
      this.#setState({ type: 'backoff', attempt: this.#failures, until: clock.now() + delayMs, reason });
    }
  }

  #wait(reason: string): void {
    this.#setState({ type: 'backoff', attempt: this.#failures, until: undefined, reason });
  }

  #fail(reason: string): void {
    this.#isWanted = false;
    this.#parts.log.error(`${this.name} has failed: ${reason}; it is not started again by itself; start it by hand (recording.start)`);
    this.#setState({ type: 'failed', reason });
  }

  #setState(state: RecordingState): void {
    if (this.#state.type === state.type && reasonIn(this.#state) === reasonIn(state) && state.type !== 'unresponsive') return;
    this.#state = state;
    this.#parts.onState(state);
  }
}

/** The reason for this state; `''` if it has none. */
export function reasonIn(state: RecordingState): string {
  return 'reason' in state ? state.reason : '';
}

/** How a run ended: undefined if the datasource ended it. */
interface RunEnd {
  readonly error: unknown;
  /** How long it recorded. */
  readonly ms: number;
  /** Another start would end in the same way. */
  readonly isHopeless: boolean;
}

interface RunParts extends Pick<RecordingParts, 'clock'> {
  /** May throw, which ends the run. */
  readonly onFrame: (frame: Frame) => void;
  readonly onMissed: (missed: number) => void;
  /** A frame came after missed ones. */
  readonly onWell: () => void;
  readonly onEnd: (end: RunEnd) => void;
}

/** One run of a datasource, from its start to its end. */
class Run {
  readonly #abort = new AbortController();
  readonly #parts: RunParts;
  readonly ended: Promise<void>;
  /** The time of the last frame, or of the last timeout. */
  #since: number;
  #missed = 0;
  #isHopeless = false;
  #cancelTimer = (): void => undefined;

  constructor(source: HostedDatasource, parts: RunParts) {
    this.#parts = parts;
    this.#since = parts.clock.now();
    this.#watch(source);
    this.ended = this.#record(source);
  }

  abort(reason: RelayError): void {
    this.#abort.abort(reason);
  }

  /** Never rejects. */
  async #record(source: HostedDatasource): Promise<void> {
    const { clock, onFrame, onEnd } = this.#parts;
    const began = clock.now();
    let error: unknown;
    try {
      let turn = began;
      let frames = 0;
      // The state is set before the first frame can come.
      await Promise.resolve();
      for await (const frame of source.record(this.#abort.signal)) {
        this.#abort.signal.throwIfAborted();
        onFrame(frame);
        this.#since = clock.now();
        if (this.#missed > 0) this.#recover();
        if (++frames % FRAMES_PER_LOOK === 0 && this.#since - turn > TURN_MS) {
          await setImmediate();
          turn = clock.now();
        }
      }
      this.#abort.signal.throwIfAborted();
    } catch (thrown) {
      error = thrown ?? new RelayError('APPLICATION', 'it threw nothing');
    }
    this.#cancelTimer();
    onEnd({ error, ms: clock.now() - began, isHopeless: this.#isHopeless });
  }

  #recover(): void {
    this.#missed = 0;
    this.#parts.onWell();
  }

  /** One timer for many frames: when it is due, it waits for the rest of the time since the last one. */
  #watch(source: HostedDatasource): void {
    const { clock, onMissed } = this.#parts;
    const { timeoutMs = Infinity, maxTimeouts } = source;
    if (timeoutMs > MAX_TIMER_MS) return;
    const dueMs = this.#since + timeoutMs - clock.now();
    if (dueMs <= 0) {
      this.#since = clock.now();
      onMissed(++this.#missed);
      if (this.#missed >= maxTimeouts) {
        this.#isHopeless = true;
        this.abort(new RelayError('TIMEOUT', `no frame came within ${timeoutMs} ms, ${this.#missed} times in a row (maxTimeouts)`));
        return;
      }
    }
    this.#cancelTimer = clock.after(dueMs > 0 ? dueMs : timeoutMs, () => {
      this.#watch(source);
    });
  }
}

// Node calls a timer of more than that at once.
const MAX_TIMER_MS = 2 ** 31 - 1;
