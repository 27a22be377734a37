/** Marks on our classes, by which they are recognised across two loaded copies of the package, where `instanceof` fails. */

/** True if `value` carries `mark`: how a class is known across two loaded copies of the package, where `instanceof` fails. */
export function hasMark(value: unknown, mark: symbol): boolean {
  if (typeof value !== 'object' || value === null) return false;
  try {
    return (value as Record<symbol, unknown>)[mark] === true;
  } catch {
    // A proxy of somebody's own: it carries no mark of ours.
    return false;
  }
}

/** Puts `mark` on a class. */
export function markType(type: object, mark: symbol): void {
  Object.defineProperty(type, mark, { value: true });
}

/** True if `type` is a class that carries `mark` itself; its heirs do not. */
export function hasTypeMark(type: unknown, mark: symbol): boolean {
  return typeof type === 'function' && Object.hasOwn(type, mark);
}
