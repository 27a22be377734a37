/** Shares one dict among all satellites: deeply frozen, with separate copies only of values that cannot be frozen. */
import type { Dict, Value } from './value.ts';

/** A frozen dict, and whether it contains bytes or dates, which cannot be frozen. */
export interface Frozen {
  readonly dict: Dict;
  readonly holdsMutable: boolean;
}

/** Freezes `dict` and everything in it, in place; `dict` must be a tree, as parsing returns it. */
export function freezeDict(dict: Dict): Frozen {
  let holdsMutable = false;
  const open: object[] = [dict];
  const visit = (value: Value | undefined): void => {
    if (typeof value !== 'object' || value === null) return;
    if (isUnfreezable(value)) holdsMutable = true;
    else open.push(value);
  };
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (Array.isArray(next)) for (const value of next as readonly Value[]) visit(value);
    // Runs for each message, so no list of names or values is made. A dict has no prototype that could add names.
    else for (const name in next) visit((next as Dict)[name]);
    // Frozen objects are read more slowly, so this is last.
    Object.freeze(next);
  }
  return { dict, holdsMutable };
}

/** The dict for one satellite: the frozen one itself, or a frozen copy with its own bytes and dates. */
export function shareDict({ dict, holdsMutable }: Frozen): Dict {
  return holdsMutable ? copyDict(dict) : dict;
}

function copyDict(dict: Dict): Dict {
  const root = Object.create(null) as Record<string, Value>;
  const open: { from: object; to: Record<string, Value> | Value[] }[] = [{ from: dict, to: root }];
  const made: object[] = [];
  for (let step = open.pop(); step !== undefined; step = open.pop()) {
    const { from, to } = step;
    made.push(to);
    for (const name of Object.keys(from)) {
      const value = (from as Record<string, Value>)[name] as Value;
      let copy = value;
      if (value instanceof Date) copy = new Date(value);
      else if (Buffer.isBuffer(value)) copy = Buffer.from(value);
      else if (typeof value === 'object' && value !== null) {
        const child: Record<string, Value> | Value[] = Array.isArray(value) ? [] : (Object.create(null) as Record<string, Value>);
        open.push({ from: value, to: child });
        copy = child;
      }
      (to as Record<string, Value>)[name] = copy;
    }
  }
  for (const object of made) Object.freeze(object);
  return root;
}

function isUnfreezable(value: object): boolean {
  return value instanceof Date || ArrayBuffer.isView(value);
}
