/** A unit of work that the checked program runs: takes its pushes as a relay does, and notes what is wrong with them. */
import { RelayError } from '../core/core.ts';
import { describeValue } from '../values/values.ts';
import { isWorkResult } from '../plugin-host/programs/internal.ts';
import type { ItemBatch } from '../plugin-host/programs/internal.ts';

// As in a relay.
const MAX_ITEMS = 10_000;

/** One unit of work of the checked program: its pushes, and what is wrong with them. */
export class WorkRun {
  readonly pushes: ItemBatch[] = [];
  readonly ended: Promise<ItemBatch['end']>;
  readonly firstPush: Promise<void>;
  /** What is wrong with its pushes; undefined if nothing is. */
  wrong: string | undefined;
  /** Pushes that came after it was answered that no more are wanted. */
  unwanted = 0;
  #isAnswering = false;
  #isEnded = false;
  #isRefused = false;
  #end!: (end: ItemBatch['end']) => void;
  #begin!: () => void;

  /** `isWanted`: whether more is wanted after a push. */
  constructor(
    readonly type: string,
    private readonly isWanted: (run: WorkRun) => Promise<boolean>,
  ) {
    this.ended = new Promise((resolve) => (this.#end = resolve));
    this.firstPush = new Promise((resolve) => (this.#begin = resolve));
  }

  /** Takes a push as a relay does. Throws a RelayError INVALID_PARAMS. */
  async push(batch: ItemBatch): Promise<boolean> {
    if (this.#isEnded) this.wrong ??= 'it pushed again after the push that ended its work';
    if (this.#isRefused && batch.end === undefined) this.unwanted++;
    if (batch.items.length > MAX_ITEMS) this.#refuse(`it pushed ${batch.items.length} items at once (limit ${MAX_ITEMS})`);
    if (this.#isAnswering) this.#refuse('it pushed again before the push before that was answered');
    const item = batch.items.find((one) => !isWorkResult(one));
    if (item !== undefined) this.wrong ??= `it pushed ${describeValue(item)}`;
    this.pushes.push(batch);
    this.#isEnded ||= batch.end !== undefined;
    this.#begin();
    this.#isAnswering = true;
    const isWanted = await this.isWanted(this);
    this.#isAnswering = false;
    this.#isRefused ||= !isWanted;
    if (batch.end !== undefined) this.#end(batch.end);
    return isWanted;
  }

  #refuse(reason: string): never {
    this.wrong ??= reason;
    throw new RelayError('INVALID_PARAMS', `relay.push_items: ${reason}`);
  }
}
