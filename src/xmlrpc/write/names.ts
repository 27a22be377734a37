/** Writes the names of struct members. */
import { DEFAULT_LIMITS } from '../options.ts';
import type { WriteOptions } from '../options.ts';
import { tagOf } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { writeText } from './text.ts';

const MEMBER = tagOf('<member><name>');
const NEXT_MEMBER = tagOf('</member><member><name>');
const NAME_END = tagOf('</name>');
const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

// Most members share a few names, so the whole tags of names that are identifiers are cached. The cache is emptied when it is full.
const MAX_KNOWN = 1000;
const KNOWN = new Map<string, Known>();

/** The tags of one name. */
interface Known {
  readonly name: string;
  readonly first: Tag;
  readonly next: Tag;
  /** The name that followed this one the last time. Structs repeat, so it usually follows again and no lookup is needed. */
  following: Known | undefined;
}

const UNKNOWN: Known = { name: '', first: MEMBER, next: NEXT_MEMBER, following: undefined };
let last = UNKNOWN;

/** Why {@link writeName} returned false. */
export const NAME_PROBLEM = `the member name has more than ${DEFAULT_LIMITS.maxNameLength} characters, or one that cannot be sent`;

/**
 * Writes `<member><name>…</name>`, preceded by the end of the previous member unless `isFirst`. Returns false if the name cannot be sent:
 * it exceeds the limit for reading, or contains a character that cannot be written.
 */
export function writeName(out: ByteBuffer, name: string, isFirst: boolean, options: WriteOptions): boolean {
  const { following } = last;
  const known = following?.name === name ? following : (KNOWN.get(name) ?? learn(name));
  if (known) {
    last.following = known;
    last = known;
    out.reserve(known.next.length);
    out.tag(isFirst ? known.first : known.next);
    return true;
  }
  if (name.length > DEFAULT_LIMITS.maxNameLength) return false;
  out.reserve(NEXT_MEMBER.length);
  out.tag(isFirst ? MEMBER : NEXT_MEMBER);
  if (writeText(out, name, options) !== undefined) return false;
  out.reserve(NAME_END.length);
  out.tag(NAME_END);
  return true;
}

function learn(name: string): Known | undefined {
  if (!IDENTIFIER.test(name)) return undefined;
  if (KNOWN.size >= MAX_KNOWN) {
    KNOWN.clear();
    last = UNKNOWN;
    last.following = undefined;
  }
  const first = tagOf(`<member><name>${name}</name>`);
  const known = { name, first, next: tagOf(`</member><member><name>${name}</name>`), following: undefined };
  KNOWN.set(name, known);
  return known;
}
