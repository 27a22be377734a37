/** Stores the programs that were added while the relay ran in the state directory, across restarts. */
import { isAbsolute, join } from 'node:path';
import * as z from 'zod/mini';
import { RelayError, clean } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { StateFile } from '../../state/state.ts';
import { programShape } from './options.ts';
import type { ProgramRecord } from './options.ts';

// A bad path in the file is reported as damage of the file, because there is no call of plugin.add to reject.
const recordInFile = programShape.check(
  z.superRefine((record, context) => {
    const problem = pathProblem(record);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  }),
);
const FILE = z.strictObject({
  version: z.literal(1),
  programs: z.array(recordInFile).check(
    z.maxLength(1_000),
    z.refine((programs) => new Set(programs.map(({ name }) => name)).size === programs.length, 'two programs have one name'),
  ),
});
const MAX_FILE_BYTES = 4 * 1024 * 1024;

export class AddedPrograms {
  readonly #file: StateFile;
  readonly #records = new Map<string, ProgramRecord>();

  constructor(
    stateDir: string,
    private readonly isAllowed: boolean,
    private readonly log: Log,
  ) {
    this.#file = new StateFile(join(stateDir, 'plugins.json'), MAX_FILE_BYTES);
  }

  /**
   * Loads the programs of the last run; resolves to none if the operator does not allow them (any more). A damaged file is reported and
   * moved away. Rejects with a RelayError STATE_DIRECTORY.
   */
  async load(): Promise<readonly ProgramRecord[]> {
    const found = await this.#file.load(recordsIn);
    if (found.kind === 'damaged')
      this.log.error(`${this.#file.path} is damaged (${clean(found.reason)}) and now lies in ${found.movedTo}: add its programs again`);
    if (found.kind !== 'value') return [];
    for (const record of found.value) this.#records.set(record.name, record);
    if (this.isAllowed || found.value.length === 0) return found.value;
    this.log.warn(`not started, since allowAddPrograms is false: ${found.value.map(({ name }) => name).join(', ')} (${this.#file.path})`);
    return [];
  }

  has(name: string): boolean {
    return this.#records.has(name);
  }

  /** Validates a record for `plugin.add`. Throws RelayErrors FORBIDDEN and INVALID_PARAMS. */
  check(value: unknown): ProgramRecord {
    if (!this.isAllowed)
      throw new RelayError(
        'FORBIDDEN',
        'plugin.add runs programs of whoever may call it: the operator allows it by allowAddPrograms: true in config.ts',
      );
    const result = programShape.safeParse(value);
    const problem = result.success ? pathProblem(result.data) : undefined;
    if (problem !== undefined) throw new RelayError('INVALID_PARAMS', `plugin.add: ${problem}`);
    if (result.success) return result.data;
    throw new RelayError('INVALID_PARAMS', `plugin.add: ${describeFirst(result.error, 'the record')}`);
  }

  /** Stores a record; resolves once it is safe on disk. Rejects with a RelayError STATE_DIRECTORY, and the record is not stored then. */
  async keep(record: ProgramRecord): Promise<void> {
    this.#records.set(record.name, record);
    await this.#save().catch((error: unknown) => {
      this.#records.delete(record.name);
      throw error;
    });
  }

  /** Deletes a record; resolves once it is removed from disk. */
  async forget(name: string): Promise<void> {
    if (this.#records.delete(name)) await this.#save();
  }

  #save(): Promise<void> {
    return this.#file.save(() => ({ version: 1, programs: [...this.#records.values()] }));
  }
}

/** Parses the records of the file. Throws an Error that says what is wrong with it. */
function recordsIn(value: unknown): readonly ProgramRecord[] {
  const result = FILE.safeParse(value);
  if (result.success) return result.data.programs;
  throw new Error(describeFirst(result.error, 'the file'));
}

/** Describes the first validation error, with its path or, for an error at the root, `whole`. */
function describeFirst({ issues: [issue] }: z.core.$ZodError, whole: string): string {
  return `${clean(issue?.path.join('.') ?? '', 100) || whole}: ${clean(issue?.message ?? '', 200)}`;
}

/** Paths must be absolute: in config.ts they are relative to the file, but a record from a caller has no such base. */
function pathProblem({ exec, cwd }: ProgramRecord): string | undefined {
  if (exec.includes('/') && !isAbsolute(exec))
    return `exec: found '${clean(exec, 100)}', expected an absolute path or a name to look for on the PATH`;
  if (cwd !== undefined && !isAbsolute(cwd)) return `cwd: found '${clean(cwd, 100)}', expected an absolute path`;
  return undefined;
}
