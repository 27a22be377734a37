/** Suggestions for misspelt names. */
import { closest, distance } from 'fastest-levenshtein';
import { clean } from './text.ts';

/** `; did you mean "spam"?` if a known name is similar, otherwise the first ten known names, or that there are none. */
export function suggest(name: string, known: readonly string[]): string {
  if (known.length === 0) return '; there are none';
  // Longer names are rarely typing errors, and computing the distance takes quadratic time.
  const near = name.length <= 100 ? (swapped(name, known) ?? similar(name, known)) : undefined;
  if (near !== undefined) return `; did you mean "${near}"?`;
  const some = known.slice(0, 10).join(', ');
  return `; known: ${clean(some)}${known.length > 10 ? ', …' : ''}`;
}

function similar(name: string, known: readonly string[]): string | undefined {
  const near = closest(name, known);
  return distance(name, near) <= Math.ceil(near.length / 3) ? near : undefined;
}

/** The known name that becomes `name` by exchanging two neighbours, a frequent typing error that counts as two edits otherwise. */
function swapped(name: string, known: readonly string[]): string | undefined {
  return known.find((other) => {
    if (other.length !== name.length) return false;
    let at = 0;
    while (at < other.length && other[at] === name[at]) at++;
    return name === other.slice(0, at) + (other[at + 1] ?? '') + (other[at] ?? '') + other.slice(at + 2);
  });
}
