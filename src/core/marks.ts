/** Marks that identify our classes across two loaded copies of the package, where `instanceof` fails. */

/** True if `value` has `mark`. */
export function hasMark(value: unknown, mark: symbol): boolean {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return (value as Record<symbol, unknown>)[mark] === true;
  } catch {
    // A foreign proxy that throws does not have our mark.
    return false;
  }
}

/** Puts `mark` on a class. */
export function markType(type: object, mark: symbol): void {
  Object.defineProperty(type, mark, { value: true });
}

/** True if `type` is a class with `mark` itself; subclasses do not inherit it. */
export function hasTypeMark(type: unknown, mark: symbol): boolean {
  return typeof type === 'function' && Object.hasOwn(type, mark);
}
