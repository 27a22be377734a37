/** The names of struct members on the wire. */
import { tagOf } from './byte-buffer.ts';
import type { ByteBuffer, Tag } from './byte-buffer.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import type { WriteOptions } from './write-options.ts';
import { writeText } from './write-text.ts';

const MEMBER = tagOf('<member><name>');
const NEXT_MEMBER = tagOf('</member><member><name>');
const NAME_END = tagOf('</name>');
const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]{0,63}$/;

// Most structs have members of the same few names: whole tags of those that are identifiers. Bounded, and begun anew when it is full.
const MAX_KNOWN = 1000;
const KNOWN = new Map<string, Known>();

/** The tags of one name. */
interface Known {
  readonly name: string;
  readonly first: Tag;
  readonly next: Tag;
  /** What was written after it the last time: structs repeat, so it is mostly that again, and need not be looked up. */
  following: Known | undefined;
}

const NOBODY: Known = { name: '', first: MEMBER, next: NEXT_MEMBER, following: undefined };
let last = NOBODY;

/** Why {@link writeName} answered false. */
export const NAME_PROBLEM = `the member name has more than ${DEFAULT_LIMITS.maxNameLength} characters, or one that the reader cannot be sent`;

/**
 * Writes `<member><name>…</name>`, after the end of the member before if it is not the `first`; false if the name cannot be sent: it is
 * longer than a
 * parse allows, or holds a character that cannot be written.
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
    last = NOBODY;
    last.following = undefined;
  }
  const first = tagOf(`<member><name>${name}</name>`);
  const known = { name, first, next: tagOf(`</member><member><name>${name}</name>`), following: undefined };
  KNOWN.set(name, known);
  return known;
}
