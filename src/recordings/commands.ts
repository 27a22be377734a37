/** Commands of controllers: each has a stream of frames of its own, which only its caller can read. */
import { randomBytes } from 'node:crypto';
import { RelayError, clean, reasonOf } from '../core/core.ts';
import type { Clock } from '../core/core.ts';
import type { Submitter } from '../access/access.ts';
import { requireOffer } from '../plugin-host/plugin-host.ts';
import type { Frame, HostedController } from '../plugin-host/plugin-host.ts';
import { Stream, memoryItems } from '../streams/streams.ts';
import type { StreamCursor, StreamPage } from '../streams/streams.ts';
import { bytesOfFrame } from './frames.ts';
import type { RecordingLimits } from './options.ts';

export interface CommandsParts {
  /** What plugins offer now, by name. */
  readonly controllers: () => ReadonlyMap<string, HostedController>;
  readonly limits: Pick<RecordingLimits, 'maxCommands' | 'maxFrameBytes'>;
  readonly clock: Clock;
}

/** A command that runs, or whose frames wait for its caller. */
export interface Command {
  readonly id: string;
  /** `ham.spam:command` */
  readonly controller: string;
}

/** Which frames of a command are wanted. */
export interface CommandPage {
  readonly from: number;
  readonly maxBytes: number;
  readonly waitMs: number;
  readonly signal: AbortSignal | undefined;
}

interface Running extends Command {
  readonly caller: string;
  readonly stream: Stream<Frame>;
  readonly cursor: StreamCursor<Frame>;
  readonly abort: AbortController;
  /** When it was asked for its frames last; undefined while its caller waits for some. */
  asked: number | undefined;
  /** True once its caller has got everything. */
  isDelivered: boolean;
}

// A caller that is slower than its controller has that wait.
const MAX_FRAMES = 1_000;
const MAX_BYTES = 4 * 1024 * 1024;
// A caller that does not ask for so long is gone.
const LEASE_MS = 60_000;
const LOOK_MS = 10_000;
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Commands {
  readonly #parts: CommandsParts;
  readonly #commands = new Map<string, Running>();
  #cancelLook: (() => void) | undefined;

  constructor(parts: CommandsParts) {
    this.#parts = parts;
  }

  /** The number of commands that run. */
  get running(): number {
    return [...this.#commands.values()].filter(({ stream }) => stream.state.type === 'open').length;
  }

  /**
   * Begins a command. Throws a RelayError INVALID_PARAMS if there is no such controller, or UNAVAILABLE if it is down, or too many commands
   * run.
   */
  begin(name: string, frame: Frame, caller: Submitter): Command {
    const controller = requireOffer('controller', name, this.#parts.controllers());
    if (controller.readiness !== 'ready') throw new RelayError('UNAVAILABLE', `${controller.name}: its plugin does not run`);
    if (frame.payload.length > this.#parts.limits.maxFrameBytes)
      throw new RelayError(
        'LIMIT',
        `the frame has ${frame.payload.length} bytes (recordingLimits.maxFrameBytes: ${this.#parts.limits.maxFrameBytes})`,
      );
    this.#requireRoom(controller);
    const id = randomBytes(16).toString('hex');
    const abort = new AbortController();
    const stream = new Stream<Frame>({
      ...{ id, clock: this.#parts.clock, report: () => undefined },
      storage: memoryItems({ maxItems: MAX_FRAMES, maxBytes: MAX_BYTES, bytesOf: bytesOfFrame, overflow: 'wait' }),
    });
    const running: Running = {
      ...{ id, controller: controller.name, caller: caller.id, stream, cursor: stream.cursor(), abort },
      ...{ asked: this.#parts.clock.now(), isDelivered: false },
    };
    this.#commands.set(id, running);
    void this.#run(controller, frame, running);
    this.#look();
    return running;
  }

  /** Frames of a command from an offset on; those before it are forgotten. Rejects with a RelayError INVALID_PARAMS. */
  async page(id: string, caller: Submitter, { from, maxBytes, waitMs, signal }: CommandPage): Promise<StreamPage<Frame>> {
    const running = this.#find(id, caller);
    running.asked = undefined;
    try {
      const page = await running.cursor.page({ from, maxBytes, waitMs, signal });
      running.isDelivered = page.state.type !== 'open';
      return page;
    } finally {
      running.asked = this.#parts.clock.now();
    }
  }

  /** Ends a command; one that has ended stays as it is. Throws a RelayError INVALID_PARAMS. */
  cancel(id: string, caller: Submitter): void {
    this.#cancel(this.#find(id, caller), 'its caller canceled it');
  }

  /** Ends all commands. */
  stop(): void {
    this.#cancelLook?.();
    for (const running of this.#commands.values()) this.#cancel(running, 'the relay stops');
  }

  /** Never rejects. */
  async #run({ command, timeoutMs, name }: HostedController, frame: Frame, { stream, abort }: Running): Promise<void> {
    const { clock, limits } = this.#parts;
    const late = new RelayError('TIMEOUT', `it did not end in ${timeoutMs} ms`);
    const cancelTimer =
      timeoutMs > MAX_TIMER_MS
        ? undefined
        : clock.after(timeoutMs, () => {
            stream.fail(late.message);
            abort.abort(late);
          });
    try {
      for await (const answer of command(frame, abort.signal)) {
        if (answer.payload.length > limits.maxFrameBytes)
          throw new RelayError(
            'LIMIT',
            `${name}: a frame has ${answer.payload.length} bytes (recordingLimits.maxFrameBytes: ${limits.maxFrameBytes})`,
          );
        const room = stream.push(answer);
        if (room) await room;
      }
      stream.end();
    } catch (error) {
      stream.fail(clean(reasonOf(error), 500));
    }
    cancelTimer?.();
  }

  #cancel({ stream, abort }: Running, reason: string): void {
    stream.cancel(reason);
    abort.abort(new RelayError('UNAVAILABLE', reason));
  }

  #requireRoom({ name, maxConcurrent = Infinity }: HostedController): void {
    const { maxCommands } = this.#parts.limits;
    const own = [...this.#commands.values()].filter(({ controller, stream }) => controller === name && stream.state.type === 'open');
    if (own.length >= maxConcurrent)
      throw new RelayError('UNAVAILABLE', `${name} runs ${own.length} commands already (maxConcurrent); call again later`);
    if (this.#commands.size < maxCommands) return;
    const done = [...this.#commands.values()].find(({ isDelivered }) => isDelivered);
    if (!done) throw new RelayError('UNAVAILABLE', `${maxCommands} commands run already (recordingLimits.maxCommands); call again later`);
    this.#forget(done);
  }

  #find(id: string, caller: Submitter): Running {
    const running = this.#commands.get(id);
    if (running?.caller === caller.id) return running;
    throw new RelayError(
      'INVALID_PARAMS',
      `there is no command '${clean(id, 60)}' of yours; it ended over ${LEASE_MS / 1000} s ago, never began, or the relay was restarted`,
    );
  }

  /** Forgets commands whose callers do not ask any more. One timer for all of them. */
  #look(): void {
    const { clock } = this.#parts;
    this.#cancelLook ??= clock.after(LOOK_MS, () => {
      this.#cancelLook = undefined;
      for (const running of this.#commands.values())
        if (running.asked !== undefined && clock.now() - running.asked >= LEASE_MS) this.#forget(running);
      if (this.#commands.size > 0) this.#look();
    });
  }

  #forget(running: Running): void {
    this.#cancel(running, `its caller did not ask for its frames for ${LEASE_MS / 1000} s`);
    running.cursor.close();
    this.#commands.delete(running.id);
  }
}

/** The name of a state of a stream for its caller. */
export function commandState({ state }: Pick<StreamPage<Frame>, 'state'>): 'running' | 'succeeded' | 'failed' | 'canceled' {
  return state.type === 'open' ? 'running' : state.type === 'ended' ? 'succeeded' : state.type;
}
