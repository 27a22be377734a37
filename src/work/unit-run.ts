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
import { inState } from './unit.ts';
import type { Unit, UnitState } from './unit.ts';
import type { Units } from './units.ts';

/** An output with a reader, who closes it once. */
export interface OpenOutput {
  readonly stream: Stream<OutputItem>;
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
  readonly #storages: ReadonlyMap<string, Output>;
  /** Its outputs by name. */
  readonly outputs: ReadonlyMap<string, Stream<OutputItem>>;
  /** Resolves once its final state is stored, or cannot be. Never rejects. */
  readonly ended: Promise<void>;
  #unit: Unit;
  #readers = 0;
  #hasEnded = false;

  constructor(unit: Unit, executor: Executor, parts: UnitRunParts) {
    this.#unit = unit;
    this.#executor = executor;
    this.#parts = parts;
    const { units, limits, clock } = parts;
    const directory = (): Promise<string> => units.directoryOf(unit.id);
    this.#storages = new Map(executor.outputs.map((name) => [name, new Output({ directory, name, maxBytes: limits.maxOutputBytes })]));
    this.outputs = new Map(
      [...this.#storages].map(([name, storage]) => [
        name,
        new Stream<OutputItem>({ id: `${unit.id}/${name}`, storage, clock, report: () => undefined }),
      ]),
    );
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

  async #run(): Promise<void> {
    const { units, clock, log } = this.#parts;
    const { id, timeoutMs } = this.#unit;
    const cancelTimer = clock.after(timeoutMs, () => {
      this.abort(new RelayError('TIMEOUT', `it took longer than ${timeoutMs} ms`));
    });
    const { state, exit } = await this.#execute();
    cancelTimer();
    try {
      for (const storage of this.#storages.values()) await storage.sync();
      await units.settle(this.#unit, state, { exit, outputs: this.#storages });
    } catch (error) {
      log.error(`the end of unit ${id} cannot be stored: ${reasonOf(error)}`);
    }
    // After the state, so that a reader that sees the end can ask for it.
    for (const stream of this.outputs.values()) {
      if (state.type === 'failed') stream.fail(state.reason);
      else if (state.type === 'canceled') stream.cancel('the unit was canceled');
      else stream.end();
    }
    this.#hasEnded = true;
    await this.#closeUnread();
  }

  /** Resolves to how it ended. Never rejects. */
  async #execute(): Promise<{ readonly state: UnitState; readonly exit: number | string | undefined }> {
    const { units, seal, date } = this.#parts;
    const { signal } = this.#canceling;
    try {
      const outputs = Object.fromEntries([...this.#storages.keys()].map((name) => [name, { bytes: 0, truncated: false }]));
      const unit = (this.#unit = await units.change(inState(this.#unit, { type: 'running' }, { startedAt: date(), outputs })));
      const order = {
        ...{ unit: unit.id, params: seal.open(unit.params), submitter: unit.submitter.text },
        ...{ payload: await this.#payload(), signal },
      };
      signal.throwIfAborted();
      const exit = await this.#executor.run(order, {
        put: (name, item) => this.outputs.get(name)?.push(item),
        onProcess: async (process) => {
          this.#unit = await units.change({ ...this.#unit, state: { type: 'running', process } });
        },
      });
      signal.throwIfAborted();
      return { state: stateOfExit(exit), exit };
    } catch (error) {
      const reason: unknown = signal.aborted ? signal.reason : error;
      return {
        state: reason === CANCELED ? { type: 'canceled' } : { type: 'failed', reason: clean(reasonOf(reason), 2_000) },
        exit: undefined,
      };
    }
  }

  async #payload(): Promise<WorkSource> {
    const { units } = this.#parts;
    const { id, payloadBytes, isUploading } = this.#unit;
    const path = join(units.pathOf(id), PAYLOAD);
    if (payloadBytes > MAX_STORED_PAYLOAD || isUploading === false) return { path };
    const bytes = (await units.payload(id)) ?? Buffer.alloc(0);
    if (this.#executor.payload !== 'file') return { bytes };
    await units.directoryOf(id);
    await writeFile(path, bytes, { mode: 0o600 });
    return { path };
  }
}

function stateOfExit(exit: number | string | undefined): UnitState {
  if (exit === undefined || exit === 0) return { type: 'succeeded' };
  return { type: 'failed', reason: typeof exit === 'number' ? `it ended with code ${exit}` : `it was ended by ${exit}` };
}
