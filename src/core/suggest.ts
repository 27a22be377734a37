/** Suggestions for misspelt names. */
import { closest, distance } from 'fastest-levenshtein';
import { clean } from './text.ts';

/** `; did you mean "spam"?` if a known name is similar, otherwise the first ten known names, or that there are none. */
export function suggest(name: string, known: readonly string[]): string {
  if (known.length === 0) return '; there are none';
  // Longer names are rarely typing errors, and computing the distance takes quadratic time.
  const near = name.length <= 100 ? closest(name, known) : undefined;
  if (near !== undefined && distance(name, near) <= Math.ceil(near.length / 3)) return `; did you mean "${near}"?`;
  const some = known.slice(0, 10).join(', ');
  return `; known: ${clean(some)}${known.length > 10 ? ', …' : ''}`;
}
