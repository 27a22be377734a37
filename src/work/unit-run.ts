/** One unit while it runs: from the start of its executor to its stored final state. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clean, reasonOf, RelayError } from '../core/core.ts';
import type { Clock, Log } from '../core/core.ts';
import type { WorkSource } from '../plugin-host/plugin-host.ts';
import { Stream } from '../streams/streams.ts';
import type { Executor } from './executor.ts';
import type { WorkLimits } from './options.ts';
import { Output } from './output.ts';
import type { OutputItem } from './output.ts';
import type { ParamsSeal } from './secrets.ts';
import { isAlive } from './process-mark.ts';
import { inState } from './unit.ts';
import type { OutputSize, Unit, UnitState } from './unit.ts';
import type { Units } from './units.ts';

/** What readers of an output need of it. `next` is the offset after what is there now. */
export type OutputReader = Pick<Stream<OutputItem>, 'next' | 'page'>;

/** An output with a reader, who closes it once. */
export interface OpenOutput {
  readonly stream: OutputReader;
  readonly close: () => Promise<void>;
}

export interface UnitRunParts {
  readonly units: Units;
  readonly seal: ParamsSeal;
  readonly limits: WorkLimits;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly log: Log;
  /** Called once, when the next unit may start: the end of this one is written before that start, or with it. */
  readonly onFree: (unit: Unit) => void;
}

/** How a unit ended. */
interface End {
  readonly state: UnitState;
  /** The exit code, or the name of the signal, of a program. */
  readonly exit?: number | string | undefined;
}

/** The payload that the store holds; a larger one is a file. */
export const MAX_STORED_PAYLOAD = 64 * 1024;
/** The name of that file. */
export const PAYLOAD = 'payload';
/** The reason with which a unit is aborted that somebody canceled. */
export const CANCELED = new RelayError('UNAVAILABLE', 'the unit was canceled');

export class UnitRun {
  readonly #parts: UnitRunParts;
  readonly #executor: Executor;
  readonly #canceling = new AbortController();
  readonly #storages = new Map<string, Output>();
  /** Of a unit that was not stored before. */
  readonly #payload: Buffer | undefined;
  /** Its outputs by name. */
  readonly outputs: ReadonlyMap<string, Stream<OutputItem>>;
  /** Resolves once it is stored that the unit runs; only then it does. Rejects if that cannot be stored. */
  readonly started: Promise<void>;
  /** Resolves once its final state is stored, or cannot be. Never rejects. */
  readonly ended: Promise<void>;
  #unit: Unit;
  #readers = 0;
  #isFree = false;
  #hasEnded = false;

  /** Runs a unit that is stored as pending or, if its `payload` is given, one that is not stored yet. */
  constructor(unit: Unit, executor: Executor, parts: UnitRunParts, payload?: Buffer) {
    this.#unit = unit;
    this.#executor = executor;
    this.#parts = parts;
    this.#payload = payload;
    const { units, limits, clock } = parts;
    const directory = (): Promise<string> => units.directoryOf(unit.id);
    const outputs = new Map<string, Stream<OutputItem>>();
    for (const name of executor.outputs) {
      const storage = new Output({ directory, name, maxBytes: limits.maxOutputBytes });
      this.#storages.set(name, storage);
      outputs.set(name, new Stream<OutputItem>({ id: `${unit.id}/${name}`, storage, clock, report: ignore }));
    }
    this.outputs = outputs;
    this.started = this.#start();
    this.ended = this.#run();
  }

  /** Ends it early; it has failed for this reason, or was {@link CANCELED}. */
  abort(reason: RelayError): void {
    this.#canceling.abort(reason);
  }

  /**
   * Opens one of its outputs for a reader, whose files stay open for it although the unit may end meanwhile. Undefined if the unit has
   * ended: the stored output is to be read then.
   */
  open(name: string): OpenOutput | undefined {
    const stream = this.outputs.get(name);
    if (!stream || this.#hasEnded) return undefined;
    this.#readers++;
    const close = async (): Promise<void> => {
      this.#readers--;
      if (this.#hasEnded) await this.#closeUnread();
    };
    return { stream, close };
  }

  async #closeUnread(): Promise<void> {
    if (this.#readers === 0) await Promise.all([...this.outputs.values()].map((stream) => stream.close()));
  }

  async #start(): Promise<void> {
    const { units, date } = this.#parts;
    const outputs: Record<string, OutputSize> = {};
    for (const name of this.#storages.keys()) outputs[name] = { bytes: 0, truncated: false };
    const running = inState(this.#unit, { type: 'running' }, { startedAt: date(), outputs });
    await (this.#payload ? units.putStarted(this.#unit, running) : units.put(running));
    this.#unit = running;
  }

  async #run(): Promise<void> {
    let end: End | undefined;
    try {
      await this.started;
      end = await this.#execute();
    } catch (error) {
      // Nobody knows a new unit that could not be stored.
      if (!this.#payload) end = { state: failed(error) };
    }
    if (end) await this.#settle(end);
    this.#free();
    this.#hasEnded = true;
    await this.#closeUnread();
  }

  /** Stores how it ended, and ends its outputs. Never rejects. */
  async #settle({ state, exit }: End): Promise<void> {
    const { units, log } = this.#parts;
    let final = state;
    try {
      for (const storage of this.#storages.values()) await storage.sync();
    } catch (error) {
      if (state.type === 'succeeded') final = failed(error);
    }
    try {
      const stored = units.settle(this.#unit, final, { exit, outputs: this.#storages });
      this.#free();
      await stored;
    } catch (error) {
      log.error(`the end of unit ${this.#unit.id} cannot be stored: ${reasonOf(error)}`);
    }
    // After the state, so that a reader that sees the end can ask for it.
    for (const stream of this.outputs.values()) {
      if (final.type === 'failed') stream.fail(final.reason);
      else if (final.type === 'canceled') stream.cancel('the unit was canceled');
      else stream.end();
    }
  }

  #free(): void {
    if (this.#isFree) return;
    this.#isFree = true;
    this.#parts.onFree(this.#unit);
  }

  /** Resolves to how it ended. Never rejects. */
  async #execute(): Promise<End> {
    const { units, seal, clock } = this.#parts;
    const { signal } = this.#canceling;
    const { id, params, submitter, timeoutMs } = this.#unit;
    const cancelTimer = clock.after(timeoutMs, () => {
      this.abort(new RelayError('TIMEOUT', `it took longer than ${timeoutMs} ms`));
    });
    try {
      const payload = await this.#source();
      signal.throwIfAborted();
      const order = { unit: id, params: seal.open(params), submitter: submitter.text, payload, signal };
      const exit = await this.#executor.run(order, {
        put: (name, item) => this.outputs.get(name)?.push(item),
        onProcess: async (process) => {
          const unit = { ...this.#unit, state: { type: 'running', process } } as const;
          await units.put(unit);
          this.#unit = unit;
        },
      });
      signal.throwIfAborted();
      return { state: stateOfExit(exit), exit };
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error;
      return { state: reason === CANCELED ? { type: 'canceled' } : failed(reason) };
    } finally {
      cancelTimer();
    }
  }

  async #source(): Promise<WorkSource> {
    const { units } = this.#parts;
    const { id, payloadBytes, isUploading } = this.#unit;
    const path = join(units.pathOf(id), PAYLOAD);
    if (payloadBytes > MAX_STORED_PAYLOAD || isUploading === false) return { path };
    const bytes = this.#payload ?? (await units.payload(id)) ?? Buffer.alloc(0);
    if (this.#executor.payload !== 'file') return { bytes };
    await units.directoryOf(id);
    await writeFile(path, bytes, { mode: 0o600 });
    return { path };
  }
}

function ignore(): void {
  // Its states are those of the unit.
}

function failed(error: unknown): UnitState {
  return { type: 'failed', reason: clean(reasonOf(error), 2_000) };
}

function stateOfExit(exit: number | string | undefined): UnitState {
  if (exit === undefined || exit === 0) return { type: 'succeeded' };
  return { type: 'failed', reason: typeof exit === 'number' ? `it ended with code ${exit}` : `it was ended by ${exit}` };
}

/** A unit that ran when the relay ended. Its process is gone, or does not know the relay any more. */
export function orphaned({ process }: Extract<UnitState, { type: 'running' }>): UnitState {
  const still = process && isAlive(process) ? `; its process ${process.pid} still runs` : '';
  return { type: 'failed', reason: `orphaned: the relay ended while it ran${still}` };
}
