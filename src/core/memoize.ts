/** Caches the results of a pure function of short texts, such as the addresses and headers that occur in every request. */

// At most about 100 KiB per function for texts of the usual length. Texts that always differ are as expensive as without the cache.
const MAX_KEPT = 500;
const MAX_LENGTH = 100;

/**
 * Wraps `work` so that it runs once per frequent text. The cache is emptied when it is full. Results of undefined, and those of texts
 * longer than `maxLength`, are not cached.
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
