/** Shares one dict among all satellites: deeply frozen, with separate copies only of values that cannot be frozen. */
import type { Dict, Value } from './value.ts';

type Container = readonly Value[] | Dict;

/** A frozen dict, and which parts of it hold values that cannot be frozen. */
export interface Frozen {
  readonly dict: Dict;
  /** The arrays and structs with bytes or dates anywhere below them, `dict` included; undefined if there are none. */
  readonly holders: ReadonlySet<Container> | undefined;
}

/** Freezes `dict` and everything in it, in place; `dict` must be a tree, as parsing returns it. */
export function freezeDict(dict: Dict): Frozen {
  // All arrays and structs, parents first, and the index of the parent of each.
  const parts: Container[] = [dict];
  const parents = [-1];
  let holders: Set<Container> | undefined;
  let index = 0;
  const visit = (value: Value | undefined): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isUnfreezable(value)) {
      holders ??= new Set();
      addWithParents(holders, parts, parents, index);
    } else {
      parts.push(value);
      parents.push(index);
    }
  };
  // The list grows while it is walked.
  for (const part of parts) {
    if (isList(part)) for (const value of part) visit(value);
    // Runs for each message, so no list of names or values is made. A dict has no prototype that could add names.
    else for (const name in part) visit(part[name]);
    // Frozen objects are read more slowly, so this is last.
    Object.freeze(part);
    index++;
  }
  return { dict, holders };
}

/** Adds the part with this index, and those around it that are not added yet. */
function addWithParents(holders: Set<Container>, parts: readonly Container[], parents: readonly number[], index: number): void {
  for (let at = index, part = parts[at]; part && !holders.has(part); at = parents[at] ?? -1, part = parts[at]) holders.add(part);
}

/** The dict for one satellite: the frozen one itself, or a frozen copy of the parts around bytes and dates, which are copied too. */
export function shareDict({ dict, holders }: Frozen): Dict {
  return holders ? copyHolders(dict, holders) : dict;
}

/** A part that is copied, and its copy. */
interface Pair {
  readonly from: Container;
  readonly to: Record<string, Value> | Value[];
}

function copyHolders(dict: Dict, holders: ReadonlySet<Container>): Dict {
  const root = Object.create(null) as Record<string, Value>;
  const pairs: Pair[] = [{ from: dict, to: root }];
  // The list grows while it is walked.
  for (const { from, to } of pairs) {
    if (isList(from)) for (const value of from) (to as Value[]).push(ownValue(value, holders, pairs));
    else for (const name in from) (to as Record<string, Value>)[name] = ownValue(from[name] as Value, holders, pairs);
  }
  for (const { to } of pairs) Object.freeze(to);
  return root;
}

/** The value itself if it is frozen all through, otherwise a copy; that of an array or struct is filled later. */
function ownValue(value: Value, holders: ReadonlySet<Container>, pairs: Pair[]): Value {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return new Date(value);
  if (Buffer.isBuffer(value)) return Buffer.from(value);
  if (!holders.has(value)) return value;
  const to: Pair['to'] = isList(value) ? [] : (Object.create(null) as Record<string, Value>);
  pairs.push({ from: value, to });
  return to;
}

function isList(part: Container): part is readonly Value[] {
  return Array.isArray(part);
}

function isUnfreezable(value: object): value is Date | Buffer {
  return value instanceof Date || ArrayBuffer.isView(value);
}
