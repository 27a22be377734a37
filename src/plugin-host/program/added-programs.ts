/** The programs that were added while the relay ran, remembered over restarts in the state directory; and what may be added at all. */
import { isAbsolute, join } from 'node:path';
import { z } from 'zod';
import { RelayError, clean } from '../../message/message.ts';
import type { Log } from '../../message/message.ts';
import { StateFile } from '../../store/store.ts';
import { programShape } from './options.ts';
import type { ProgramRecord } from './options.ts';

const FILE = z.strictObject({ version: z.literal(1), programs: z.array(programShape).max(1_000) });
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

  /** Those of the last run; none where the operator does not allow it (any more). A damaged file is reported and set aside. Rejects with a RelayError STATE_DIRECTORY. */
  async load(): Promise<readonly ProgramRecord[]> {
    const found = await this.#file.load((value) => FILE.parse(value).programs.map(checkedPaths));
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

  /** The record, if it may be added. Throws RelayErrors FORBIDDEN and INVALID_PARAMS. */
  check(value: unknown): ProgramRecord {
    if (!this.isAllowed)
      throw new RelayError(
        'FORBIDDEN',
        'plugin.add runs programs of whoever may call it: the operator allows it by allowAddPrograms: true in config.ts',
      );
    const result = programShape.safeParse(value);
    if (result.success) return checkedPaths(result.data);
    const [issue] = result.error.issues;
    throw new RelayError(
      'INVALID_PARAMS',
      `plugin.add: ${clean(issue?.path.join('.') ?? '', 100) || 'the record'}: ${clean(issue?.message ?? '', 200)}`,
    );
  }

  /** Resolves once it is safe on disk. Rejects with a RelayError STATE_DIRECTORY; it is not remembered then. */
  async keep(record: ProgramRecord): Promise<void> {
    this.#records.set(record.name, record);
    await this.#save().catch((error: unknown) => {
      this.#records.delete(record.name);
      throw error;
    });
  }

  /** Resolves once the disk has forgotten it too. */
  async forget(name: string): Promise<void> {
    if (this.#records.delete(name)) await this.#save();
  }

  #save(): Promise<void> {
    return this.#file.save(() => ({ version: 1, programs: [...this.#records.values()] }));
  }
}

/** In config.ts a path starts from the file; what comes from afar has no such place. */
function checkedPaths(record: ProgramRecord): ProgramRecord {
  const { exec, cwd } = record;
  if (exec.includes('/') && !isAbsolute(exec))
    throw new RelayError(
      'INVALID_PARAMS',
      `plugin.add: exec: found '${clean(exec, 100)}', expected an absolute path or a name to look for on the PATH`,
    );
  if (cwd !== undefined && !isAbsolute(cwd))
    throw new RelayError('INVALID_PARAMS', `plugin.add: cwd: found '${clean(cwd, 100)}', expected an absolute path`);
  return record;
}
