/** Caches the results of a pure function of short texts, such as the addresses and headers that occur in every request. */

// At most about 100 KiB per function for texts of the usual length. Texts that always differ are as expensive as without the cache.
const MAX_ENTRIES = 500;
const MAX_LENGTH = 100;

/**
 * Wraps `work` so that it runs once per frequent text. The cache is emptied when it is full. Results of undefined, and those of texts
 * longer than `maxLength`, are not cached.
 */
export function memoize<T>(work: (text: string) => T, maxLength = MAX_LENGTH): (text: string) => T {
  const known = new Map<string, T>();
  return (text) => {
    const cached = known.get(text);
    if (cached !== undefined) return cached;
    const result = work(text);
    if (text.length > maxLength) return result;
    if (known.size >= MAX_ENTRIES) known.clear();
    known.set(text, result);
    return result;
  };
}
