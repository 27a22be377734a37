/** Walks over a value that is being written, without recursion: the stack of open arrays and structs, and the path for error texts. */
import { RelayError, clean } from '../core/core.ts';
import type { Attempt } from './value.ts';

// The default depth for reading, so that everything written can be read.
const MAX_DEPTH = 64;

/** One level of the walk: an array or struct that is being written. */
export interface WalkLevel {
  readonly container: object;
  readonly length: number;
  /** Undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly isMap: boolean;
  /** The index of the next child. */
  next: number;
}

/** The attempt that was started last, and its position in the walk. */
interface StartedAttempt<Mark> {
  readonly attempt: Attempt;
  readonly mark: Mark;
  readonly depth: number;
  readonly level: WalkLevel | undefined;
  readonly child: number | undefined;
}

/** The walk over one value. Paths in errors start with `label`: `result.data[3]: …`. A `Mark` is an amount of output. */
export class Walk<Mark> {
  /** The innermost array or struct. */
  top: WalkLevel | undefined;
  /** The outermost one, also after it is left. */
  root: WalkLevel | undefined;
  readonly #levels: WalkLevel[] = [];
  #attempt: StartedAttempt<Mark> | undefined;

  constructor(private readonly label: string) {}

  /** Enters an array, a dict with these `names`, or a Map; fails on cycles and beyond the maximum depth. */
  open(container: object, names?: readonly string[], isMap = false): WalkLevel {
    const levels = this.#levels;
    for (const open of levels) if (open.container === container) this.fail('the value contains itself');
    if (levels.length >= MAX_DEPTH) this.fail(`arrays and structs deeper than ${MAX_DEPTH} cannot be sent`);
    const { length } = names ?? (container as readonly unknown[]);
    const level = { container, length, names, isMap, next: 0 };
    if (levels.push(level) === 1) this.root = level;
    this.top = level;
    return level;
  }

  /** Leaves the innermost array or struct. */
  close(): void {
    this.#levels.pop();
    this.top = this.#levels.at(-1);
  }

  /** The keys of a Map; fails if one is not a string, or, with the reason `tooMany`, if there are more than `maxNames`. */
  namesOf(map: ReadonlyMap<unknown, unknown>, maxNames: number, tooMany: string): readonly string[] {
    const names: string[] = [];
    for (const name of map.keys()) {
      if (typeof name !== 'string') this.fail('a Map with a key that is not a string cannot be sent as a struct');
      if (names.push(name) > maxNames) this.fail(tooMany);
    }
    return names;
  }

  /** Throws a RelayError INTERNAL with the path of the current child. `isForCaller` means that the reason says what the caller can do. */
  fail(reason: string, isForCaller = false): never {
    throw new RelayError('INTERNAL', `${this.#path()}: ${reason}`, { isForCaller });
  }

  /** Notes that the value of `attempt` is written next; `mark` is the amount of output before it. */
  begin(attempt: Attempt, mark: Mark): void {
    this.#attempt = { attempt, mark, depth: this.#levels.length, level: this.top, child: this.top?.next };
  }

  /**
   * Returns to the start of the attempt in progress, and returns the amount of output there and the value to write instead. Throws `error`,
   * as a RelayError, if no attempt is in progress.
   */
  rollBack(error: unknown): { readonly mark: Mark; readonly instead: unknown } {
    const known = RelayError.is(error) ? error : this.#unreadable(error);
    const started = this.#attempt;
    if (!started || this.#levels[started.depth - 1] !== started.level || started.level?.next !== started.child) throw known;
    this.#attempt = undefined;
    this.#levels.length = started.depth;
    this.top = started.level;
    if (started.depth === 0) this.root = undefined;
    return { mark: started.mark, instead: started.attempt.otherwise(known) };
  }

  /** The error for an exception from a getter, a proxy or an iterator. */
  #unreadable(cause: unknown): RelayError {
    return new RelayError('INTERNAL', `${this.#path()}: the value cannot be read`, { cause });
  }

  #path(): string {
    let path = this.label;
    for (const { names, next } of this.#levels) {
      if (next > 0) path = names ? memberPath(path, names[next - 1] ?? '') : `${path}[${next - 1}]`;
    }
    return path;
  }
}

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

/** The path of a member: `result.data` or `result["odd name"]`. */
export function memberPath(path: string, name: string): string {
  return IDENTIFIER.test(name) ? `${path}.${name}` : `${path}[${JSON.stringify(clean(name, 40))}]`;
}
