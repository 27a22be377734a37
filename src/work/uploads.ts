/** Payloads on their way into files of their units, within the limit on the disk. */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { RelayError } from '../core/core.ts';
import { systemReason } from '../state/state.ts';
import { PAYLOAD } from './unit-run.ts';
import type { Unit } from './unit.ts';
import type { Units } from './units.ts';

/** See the head of this file. */
export class Uploads {
  /** The bytes that have arrived of each payload, by the id of its unit. */
  readonly #arrived = new Map<string, number>();

  constructor(
    private readonly units: Units,
    /** Bytes of all payloads and results. */
    private readonly maxBytes: number,
  ) {}

  has({ id }: Unit): boolean {
    return this.#arrived.has(id);
  }

  /** Throws a RelayError LIMIT if there is no room for this much more. */
  requireRoom(more: number): void {
    let arrived = 0;
    for (const bytes of this.#arrived.values()) arrived += bytes;
    if (this.units.bytes + arrived + more <= this.maxBytes) return;
    throw new RelayError('LIMIT', `payloads and results fill their ${this.maxBytes} bytes (workLimits.maxBytes); release finished units`);
  }

  /**
   * Stores the payload of a unit that waits for it, then calls `complete` with its bytes. Rejects if `body` does, and with RelayErrors
   * LIMIT, STATE_DIRECTORY, and UNAVAILABLE if the unit ends meanwhile.
   */
  async take<T>(unit: Unit, body: AsyncIterable<Buffer>, complete: (current: Unit, bytes: number) => Promise<T>): Promise<T> {
    this.#arrived.set(unit.id, 0);
    try {
      const bytes = await this.write(unit, body);
      const current = this.units.get(unit.id);
      if (current?.state.type !== 'pending') throw endedEarly(unit);
      return await complete(current, bytes);
    } finally {
      this.#arrived.delete(unit.id);
      // A release may have deleted its directory just before the file was created.
      if (!this.units.get(unit.id)) await rm(this.units.pathOf(unit.id), { recursive: true, force: true });
    }
  }

  /** Writes a payload into the file of its unit. Resolves to its bytes. */
  async write(unit: Unit, body: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<number> {
    const path = join(await this.units.directoryOf(unit.id), PAYLOAD);
    const file = await open(path, 'w', 0o600).catch(failed);
    let bytes = 0;
    try {
      for await (const chunk of body) {
        this.requireRoom(chunk.length);
        bytes += chunk.length;
        // It writes on from the end of the last chunk.
        await file.writeFile(chunk).catch(failed);
        if (this.#arrived.has(unit.id)) this.#count(unit, bytes);
      }
      await file.datasync().catch(failed);
      return bytes;
    } finally {
      await file.close();
    }
  }

  #count(unit: Unit, bytes: number): void {
    this.#arrived.set(unit.id, bytes);
    if (this.units.get(unit.id)?.state.type !== 'pending') throw endedEarly(unit);
  }
}

function endedEarly({ id }: Unit): RelayError {
  return new RelayError('UNAVAILABLE', `the unit ${id} ended while its payload arrived`);
}

function failed(error: unknown): never {
  throw new RelayError('STATE_DIRECTORY', `the payload cannot be stored: ${systemReason(error)}`, { cause: error });
}
