/** Rights: classes of methods, and globs of method names. */
import type { AccessClass } from '../core/core.ts';

// 64 bits: too many to collide by chance, and too few to recover the token.
const TOKEN_ID_DIGITS = 16;

/** Extensions of XML-RPC that a caller may be known to read. */
export const EXTENSIONS = ['nil', 'i8'] as const;
/** One of {@link EXTENSIONS}. */
export type Extension = (typeof EXTENSIONS)[number];

/** The right to call the methods of these classes whose names match one of the globs. */
export interface Grant {
  readonly classes: readonly AccessClass[];
  /** `*` matches one or more characters, dots included; every other character matches itself. */
  readonly methods: readonly string[];
}

/** The grant of a token; by default every method of every class but admin. */
export function grantOf({ classes, methods }: { readonly [Key in keyof Grant]?: Grant[Key] | undefined }): Grant {
  return { classes: classes ?? ['read', 'message', 'call'], methods: methods ?? ['*'] };
}

/** A compiled grant. */
export interface Permission {
  readonly classes: ReadonlySet<AccessClass>;
  readonly covers: (method: string) => boolean;
  /** The globs, for error messages. */
  readonly methods: readonly string[];
}

// Two stars in a row would mean "two or more characters"; they are rejected as a mistake.
const GLOB = /^(?!.*\*\*)[\w.*]{1,200}$/;

/** True if `text` is a valid glob of method names. */
export function isMethodGlob(text: string): boolean {
  return GLOB.test(text);
}

/** Compiles a grant: once per start, or when a token changes. */
export function permissionOf({ classes, methods }: Grant): Permission {
  const globs = methods.map(compileGlob);
  return { classes: new Set(classes), methods, covers: (method) => globs.some((covers) => covers(method)) };
}

/** Matches each part at its first occurrence. A regular expression with many stars would take exponential time for crafted names. */
function compileGlob(glob: string): (name: string) => boolean {
  const [head = '', ...rest] = glob.split('*');
  const tail = rest.pop();
  if (tail === undefined) return (name) => name === head;
  return (name) => {
    if (!name.startsWith(head)) return false;
    let from = head.length;
    for (const part of rest) {
      const at = name.indexOf(part, from + 1);
      if (at < 0) return false;
      from = at + part.length;
    }
    return name.endsWith(tail) && name.length - tail.length > from;
  };
}

/** Distinguishes a token from others that have or had its name: the first digits of its SHA-256 (hex). */
export function tokenId(sha256: string): string {
  return sha256.slice(0, TOKEN_ID_DIGITS);
}
