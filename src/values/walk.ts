/** The walk over a value that is being written, without recursion: what is open, what comes next, and where that stands. */
import { RelayError } from '../core/core.ts';
import { memberPath } from './member-path.ts';
import type { Attempt } from './value.ts';

// As deep as a text is read by default, so that what is written can be read.
const MAX_DEPTH = 64;

/** An array or struct that is being written. */
export interface Frame {
  readonly container: object;
  readonly length: number;
  /** Undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly isMap: boolean;
  /** Counts the children begun. */
  next: number;
}

/** The attempt that was begun last, and which child of which frame it is. */
interface Begun<Mark> {
  readonly attempt: Attempt;
  readonly mark: Mark;
  readonly depth: number;
  readonly frame: Frame | undefined;
  readonly child: number | undefined;
}

/** What is open in one value; errors call its place `label`: `result.data[3]: …`. A `Mark` says how much was written. */
export class Walk<Mark> {
  /** The innermost array or struct. */
  top: Frame | undefined;
  readonly #frames: Frame[] = [];
  #begun: Begun<Mark> | undefined;

  constructor(private readonly label: string) {}

  /** Enters an array, a dict with these `names`, or a Map; fails if that is open already, or too deep. */
  open(container: object, names?: readonly string[], isMap = false): Frame {
    const frames = this.#frames;
    for (const open of frames) if (open.container === container) this.fail('the value contains itself');
    if (frames.length >= MAX_DEPTH) this.fail(`arrays and structs deeper than ${MAX_DEPTH} cannot be sent`);
    const { length } = names ?? (container as readonly unknown[]);
    const frame = { container, length, names, isMap, next: 0 };
    frames.push(frame);
    this.top = frame;
    return frame;
  }

  /** The innermost array or struct is written. */
  close(): void {
    this.#frames.pop();
    this.top = this.#frames.at(-1);
  }

  /** The keys of a Map, which all are strings; of more than `maxNames` it fails for the reason `tooMany`. */
  namesOf(map: ReadonlyMap<unknown, unknown>, maxNames: number, tooMany: string): readonly string[] {
    const names: string[] = [];
    for (const name of map.keys()) {
      if (typeof name !== 'string') this.fail('a Map with a key that is no string cannot be sent as a struct');
      if (names.push(name) > maxNames) this.fail(tooMany);
    }
    return names;
  }

  /** Throws a RelayError INTERNAL that names the child which is being written; `isForCaller`: the reason says what the caller can do. */
  fail(reason: string, isForCaller = false): never {
    throw new RelayError('INTERNAL', `${this.#path()}: ${reason}`, { isForCaller });
  }

  /** The value of `attempt` comes next; `mark` is what was written before it. */
  begin(attempt: Attempt, mark: Mark): void {
    this.#begun = { attempt, mark, depth: this.#frames.length, frame: this.top, child: this.top?.next };
  }

  /**
   * Goes back to where the attempt that is being made began; answers what was written then, and what comes instead. If none is being made
   * it throws `error`, as one of ours.
   */
  giveUp(error: unknown): { readonly mark: Mark; readonly instead: unknown } {
    const known = RelayError.is(error) ? error : this.#unreadable(error);
    const begun = this.#begun;
    if (!begun || this.#frames[begun.depth - 1] !== begun.frame || begun.frame?.next !== begun.child) throw known;
    this.#begun = undefined;
    this.#frames.length = begun.depth;
    this.top = begun.frame;
    return { mark: begun.mark, instead: begun.attempt.otherwise(known) };
  }

  /** What a getter, a proxy or an iterator of the value's own threw. */
  #unreadable(cause: unknown): RelayError {
    return new RelayError('INTERNAL', `${this.#path()}: the value cannot be read`, { cause });
  }

  #path(): string {
    let path = this.label;
    for (const { names, next } of this.#frames) {
      if (next > 0) path = names ? memberPath(path, names[next - 1] ?? '') : `${path}[${next - 1}]`;
    }
    return path;
  }
}
