/** How a type of work is run, whether a plugin offers it or it is a plain program. */
import { RelayError, clean } from '../core/core.ts';
import { requireOffer } from '../plugin-host/plugin-host.ts';
import type { HostedWork, WorkOrder } from '../plugin-host/plugin-host.ts';
import type { Dict, Sendable } from '../values/values.ts';
import { writeJson } from '../json/json.ts';
import type { OutputItem } from './output.ts';
import type { ProcessMark } from './unit.ts';

/** Takes what a unit puts out under one of its output names. Resolves when the next item may come. */
export type PutOut = (name: string, item: OutputItem) => Promise<void> | void;

/** What a run tells while it goes on. */
export interface RunReport {
  readonly put: PutOut;
  /** The process that does the work. */
  readonly onProcess: (process: ProcessMark) => Promise<void>;
}

/** A type of work, ready to be run. */
export interface Executor extends Omit<HostedWork, 'run' | 'takesParams'> {
  /** The parameters that a submission may have: any, or these names. */
  readonly params: 'any' | readonly string[];
  /** The names of its outputs, of which the first is the default one. */
  readonly outputs: readonly string[];
  /** Resolves when the work is complete, to the exit code or signal of a program. Rejects with the reason why it failed. */
  readonly run: (order: WorkOrder, report: RunReport) => Promise<number | string | undefined>;
}

/** The executor of work that a plugin offers. */
export function pluginExecutor({ run, takesParams, ...about }: HostedWork): Executor {
  return {
    ...about,
    params: takesParams ? 'any' : [],
    outputs: ['results'],
    run: async (order, { put }) => {
      for await (const result of run(order)) {
        const waiting = put('results', itemOf(result, about.type));
        if (waiting) await waiting;
      }
      return undefined;
    },
  };
}

function itemOf(result: Sendable | undefined, type: string): OutputItem {
  if (typeof result === 'string') return { kind: 'text', bytes: Buffer.from(result) };
  if (result instanceof Uint8Array) return { kind: 'bytes', bytes: Buffer.from(result.buffer, result.byteOffset, result.length) };
  return { kind: 'struct', bytes: Buffer.from(`${writeJson(result, `${type}: a result`)}\n`) };
}

/** What can be submitted, by type: what plugins offer now, and programs. */
export class Executors {
  // By type; undefined if plugins have changed since they were asked.
  #known: ReadonlyMap<string, Executor> | undefined;

  constructor(
    private readonly offered: () => ReadonlyMap<string, Executor>,
    private readonly programs: ReadonlyMap<string, Executor>,
  ) {}

  /** What plugins offer may have changed. */
  refresh(): void {
    this.#known = undefined;
  }

  /** Asked for when it is needed: at a start each plugin changes its state several times, and most offer no work. */
  get #all(): ReadonlyMap<string, Executor> {
    return (this.#known ??= new Map([...this.offered(), ...this.programs]));
  }

  get(type: string): Executor | undefined {
    return this.#all.get(type);
  }

  /** In the order of the types. */
  list(): readonly Executor[] {
    return [...this.#all.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
  }

  /** The executor of a type, or of the only type of a plugin. Throws a RelayError INVALID_PARAMS if there is none, or several. */
  require(type: string): Executor {
    return requireOffer('work', type, this.#all);
  }
}

/** Throws a RelayError INVALID_PARAMS for parameters that this work does not take. */
export function requireParams({ type, params: allowed }: Executor, params: Dict): void {
  if (allowed === 'any') return;
  const unknown = Object.keys(params).find((name) => !allowed.includes(name));
  if (unknown === undefined) return;
  const known = allowed.length === 0 ? 'it takes none' : `it takes ${allowed.join(', ')}`;
  throw new RelayError('INVALID_PARAMS', `${type} does not take the parameter '${clean(unknown, 60)}': ${known}`);
}
