/** A disk in memory: an engine that loses what is not synced when its machine crashes. For the test kit and for tests. */
import type { Disk, Engine, EngineOperation, KeyRange, Pair } from './engine.ts';

const PAGE_PAIRS = 256;
// Nothing is there; the path is only reported.
const DAMAGED = '/memory/damaged';

/** What a disk was asked to do wrong. */
interface Faults {
  /** Called before each batch; what it throws is the failure of the write. Default: nothing fails. */
  onBatch?: ((sync: boolean) => void) | undefined;
}

/** What outlives the process that opened it; see the head of this file. */
export class MemoryDisk implements Disk {
  /** The free and total bytes that {@link Engine.space} answers. */
  space = { freeBytes: 2 ** 40, totalBytes: 2 ** 41 };
  readonly faults: Faults = {};
  /** What was set aside, with the reasons. */
  readonly setAside: { readonly pair: Pair; readonly reason: string }[] = [];
  /** What the disk holds if the power fails now. Keys are latin1 texts, whose order is that of their bytes. */
  #synced = new Map<string, Buffer>();
  /** What the process sees. */
  #written = new Map<string, Buffer>();
  /** The batches since the last sync. */
  #unsynced: (readonly EngineOperation[])[] = [];
  #noted = 0;
  #generation = 0;

  exists(): Promise<boolean> {
    return Promise.resolve(this.#written.size > 0);
  }

  /** Opens the disk; an engine that was opened before it does nothing any more, like one of a process that was killed. */
  async open(): Promise<Engine> {
    const generation = ++this.#generation;
    const check = (): void => {
      if (generation !== this.#generation) throw new Error('the process that opened it has ended');
    };
    const noted = (): number => this.#noted;
    return {
      batch: async (operations, sync) => {
        // A write ends in a later turn, as on a real disk.
        await new Promise<void>((resolve) => {
          setImmediate(resolve);
        });
        check();
        this.faults.onBatch?.(sync);
        apply(this.#written, operations);
        this.#unsynced.push(operations);
        if (sync) this.#sync();
      },
      get: async (key) => {
        check();
        return this.#written.get(key.toString('latin1'));
      },
      pages: (range) => this.#pages(range),
      clear: async (range) => {
        check();
        const operations = this.#keys(range).map((key) => ({ type: 'del', key: Buffer.from(key, 'latin1') }) as const);
        apply(this.#written, operations);
        this.#unsynced.push(operations);
      },
      note: (commit) => {
        check();
        this.#noted = commit;
      },
      get noted() {
        return noted();
      },
      setAside: async (pair, reason) => {
        this.setAside.push({ pair, reason });
        return DAMAGED;
      },
      space: async () => this.space,
      close: async () => {
        check();
        this.#generation++;
      },
    };
  }

  async accept(): Promise<void> {
    // Nothing is lost by opening it.
  }

  async repair(how: 'repair' | 'replace'): Promise<string> {
    if (how === 'replace') this.damage(() => undefined);
    return DAMAGED;
  }

  /** The power fails: of the batches that are not synced, the first `kept` are on the disk, default none. */
  crash(kept = 0): void {
    this.#generation++;
    for (const operations of this.#unsynced.slice(0, kept)) apply(this.#synced, operations);
    this.#unsynced = [];
    this.#written = new Map(this.#synced);
  }

  /** The number of batches that a crash may lose. */
  get unsynced(): number {
    return this.#unsynced.length;
  }

  /** Changes what is stored behind the back of the relay: `change` gets each pair and returns its new value, or undefined to lose it. */
  damage(change: (key: Buffer, value: Buffer) => Buffer | undefined): void {
    for (const [text, value] of [...this.#written]) {
      const changed = change(Buffer.from(text, 'latin1'), value);
      if (changed) this.#written.set(text, changed);
      else this.#written.delete(text);
    }
    this.#synced = new Map(this.#written);
    this.#unsynced = [];
  }

  #sync(): void {
    for (const operations of this.#unsynced) apply(this.#synced, operations);
    this.#unsynced = [];
  }

  #keys({ gte, lt }: KeyRange): string[] {
    const [from, to] = [gte.toString('latin1'), lt.toString('latin1')];
    return [...this.#written.keys()].filter((key) => key >= from && key < to).sort();
  }

  async *#pages(range: KeyRange): AsyncGenerator<readonly Pair[], void, undefined> {
    const pairs = this.#keys(range).map((key): Pair => [Buffer.from(key, 'latin1'), this.#written.get(key) ?? Buffer.alloc(0)]);
    for (let at = 0; at < pairs.length; at += PAGE_PAIRS) yield pairs.slice(at, at + PAGE_PAIRS);
  }
}

function apply(map: Map<string, Buffer>, operations: readonly EngineOperation[]): void {
  for (const operation of operations) {
    const key = operation.key.toString('latin1');
    if (operation.type === 'put') map.set(key, operation.value);
    else map.delete(key);
  }
}
