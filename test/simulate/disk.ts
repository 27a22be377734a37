/** A virtual disk: what is not synced when its node crashes is lost. */
import type { StoreOperation } from '../../src/store/store.ts';

interface Contents {
  readonly logs: Map<string, { next: number; readonly records: Map<number, Buffer> }>;
  readonly tables: Map<string, Map<string, Buffer>>;
}

/** One per node; it outlives the crashes of its node. */
export class VirtualDisk {
  #written: Contents = { logs: new Map(), tables: new Map() };
  #synced: Contents = { logs: new Map(), tables: new Map() };
  #unsynced: (readonly StoreOperation[])[] = [];

  /** Applies a batch, and returns the numbers of the appended records. It may be lost until {@link sync}. */
  write(operations: readonly StoreOperation[]): readonly number[] {
    this.#unsynced.push(operations);
    return apply(this.#written, operations);
  }

  /** Makes everything durable that was written. */
  sync(): void {
    for (const operations of this.#unsynced) apply(this.#synced, operations);
    this.#unsynced = [];
  }

  /** The power fails: of the batches that are not synced the first `kept` survive. */
  crash(kept: number): void {
    for (const operations of this.#unsynced.slice(0, kept)) apply(this.#synced, operations);
    this.#unsynced = [];
    this.#written = {
      logs: new Map([...this.#synced.logs].map(([name, { next, records }]) => [name, { next, records: new Map(records) }])),
      tables: new Map([...this.#synced.tables].map(([name, entries]) => [name, new Map(entries)])),
    };
  }

  get unsynced(): number {
    return this.#unsynced.length;
  }

  record(log: string, number: number): Buffer | undefined {
    return this.#written.logs.get(log)?.records.get(number);
  }

  records(log: string): readonly (readonly [number, Buffer])[] {
    return [...(this.#written.logs.get(log)?.records ?? [])];
  }

  entries(table: string): readonly (readonly [string, Buffer])[] {
    return [...(this.#written.tables.get(table) ?? [])];
  }
}

function apply({ logs, tables }: Contents, operations: readonly StoreOperation[]): readonly number[] {
  const numbers: number[] = [];
  for (const operation of operations) {
    if (operation.type === 'append' || operation.type === 'trim') {
      const log = logs.get(operation.log) ?? { next: 1, records: new Map<number, Buffer>() };
      logs.set(operation.log, log);
      if (operation.type === 'append') {
        log.records.set(log.next, operation.value);
        numbers.push(log.next++);
      } else
        for (const number of log.records.keys()) {
          if (number > operation.through) break;
          log.records.delete(number);
        }
    } else {
      const table = tables.get(operation.table) ?? new Map<string, Buffer>();
      tables.set(operation.table, table);
      if (operation.type === 'put') table.set(operation.key, operation.value);
      else table.delete(operation.key);
    }
  }
  return numbers;
}
