/** Which numbers of an own stream may still be alive, from the times when they expire; coarse, to be small. */

// Marks at most; with each, the life of a stream is divided more finely.
const MAX_MARKS = 64;

/** See the head of this file. */
export class LowMark {
  // Numbers below `number` are expired at `at`. Both grow.
  #marks: { number: number; at: number }[] = [];
  #low = 1;

  /** Notes that a number is given to a message that expires at this time. */
  note(number: number, expiresAt: number, now: number): void {
    const last = this.#marks.at(-1);
    const at = Math.max(expiresAt, last?.at ?? 0);
    // What expires at about the same time shares a mark.
    if (last && at - last.at < (at - now) / MAX_MARKS) [last.number, last.at] = [number + 1, at];
    else this.#marks.push({ number: number + 1, at });
    if (this.#marks.length > 2 * MAX_MARKS) this.#marks.shift();
  }

  /** The lowest number that may be alive. */
  at(now: number): number {
    let count = 0;
    for (const { number, at } of this.#marks) {
      if (at > now) break;
      this.#low = number;
      count++;
    }
    if (count > 0) this.#marks.splice(0, count);
    return this.#low;
  }
}
