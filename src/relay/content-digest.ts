/** A digest of the contents of a dict, equal for two copies of one dict. */
import { createHash } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { isDict } from '../values/values.ts';
import type { Dict, Value } from '../values/values.ts';

// Each hop sets these members, so they differ between copies of a dict.
const SET_BY_RELAYS: ReadonlySet<string> = new Set(['host_id', 'client_address', 'co2']);
// Characters that are collected before they are hashed: one call per scalar would cost more than the hashing itself.
const CHUNK = 16 * 1024;

/**
 * SHA-256 over `prefix` and the members of `dict` other than `host_id`, `client_address` and `co2`: equal for equal values, whatever the
 * order of the members and the notation of the scalars. Does not recurse.
 */
export function contentDigest(prefix: string, dict: Dict): string {
  const hash = createHash('sha256');
  const text = new Text(hash);
  text.add(sized('p', prefix));
  // A stack of the remaining values; a string is text that is added as it is.
  const open: (readonly [Value] | string)[] = [];
  pushMembers(
    open,
    dict,
    Object.keys(dict).filter((name) => !SET_BY_RELAYS.has(name)),
  );
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next === 'string') text.add(next);
    else addValue(text, next[0], open);
  }
  return text.digest();
}

function pushItems(open: (readonly [Value] | string)[], items: readonly Value[]): void {
  open.push(']');
  for (let index = items.length - 1; index >= 0; index--) open.push([items[index] as Value]);
  open.push('[');
}

function pushMembers(open: (readonly [Value] | string)[], dict: Dict, names: string[]): void {
  open.push('}');
  for (const name of names.sort().reverse()) open.push([dict[name] as Value], sized('m', name));
  open.push('{');
}

/** Adds a scalar now, and pushes the contents of an array or a struct. */
function addValue(text: Text, value: Value, open: (readonly [Value] | string)[]): void {
  if (value === null) text.add('z');
  else if (value instanceof Date) text.add(sized('t', String(value.getTime())));
  else if (value instanceof Uint8Array) text.addBytes(value);
  else if (typeof value === 'string') text.add(sized('s', value));
  else if (typeof value === 'boolean') text.add(value ? 'b1' : 'b0');
  else if (typeof value !== 'object') text.add(sized('n', String(value)));
  else if (isDict(value)) pushMembers(open, value, Object.keys(value));
  else pushItems(open, value);
}

/** Includes the length, so that different values never produce the same text. */
function sized(kind: string, text: string): string {
  return `${kind}${text.length}:${text}`;
}

class Text {
  #waiting = '';

  constructor(private readonly hash: Hash) {}

  add(text: string): void {
    this.#waiting += text;
    if (this.#waiting.length > CHUNK) this.#flush();
  }

  addBytes(bytes: Uint8Array): void {
    this.add(`x${bytes.byteLength}:`);
    this.#flush();
    this.hash.update(bytes);
  }

  digest(): string {
    this.#flush();
    return this.hash.digest('base64url');
  }

  #flush(): void {
    this.hash.update(this.#waiting);
    this.#waiting = '';
  }
}
