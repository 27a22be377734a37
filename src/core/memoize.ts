/** The latest answers of a pure function of short texts: the same few addresses and headers come with every request. */

// Some 100 KiB at most per function of texts of the usual length. Who sends ever new texts makes them be worked out each time, as without
// this.
const MAX_KEPT = 500;
const MAX_LENGTH = 100;

/**
 * `work`, which is asked once for each of the texts that come often; they are forgotten all together when they are too many. An answer of
 * undefined, and one to a text that is longer than `maxLength`, is not kept.
 */
export function memoize<T>(work: (text: string) => T, maxLength = MAX_LENGTH): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const answer = known.get(text);
    if (answer !== undefined) return answer;
    const found = work(text);
    if (text.length > maxLength) return found;
    if (known.size >= MAX_KEPT) known.clear();
    known.set(text, found);
    return found;
  };
}
