/** Rights as everybody names them: classes of methods, and globs of their names. Pure. */
import type { AccessClass } from '../core/core.ts';

// 64 bits: nobody makes a second token by chance, and from so few of them nobody finds the first.
const TOKEN_ID_DIGITS = 16;

/** Extensions of XML-RPC that a caller may be known to read. */
export const EXTENSIONS = ['nil', 'i8'] as const;
export type Extension = (typeof EXTENSIONS)[number];

/** Who has it may call the methods of these classes whose names one of the globs covers. */
export interface Grant {
  readonly classes: readonly AccessClass[];
  /** `*` stands for one or more characters, dots among them; all else for itself. */
  readonly methods: readonly string[];
}

/** What a token may that says nothing of it: everything but admin. */
export function grantOf({
  classes,
  methods,
}: {
  readonly classes?: Grant['classes'] | undefined;
  readonly methods?: Grant['methods'] | undefined;
}): Grant {
  return { classes: classes ?? ['read', 'message', 'call'], methods: methods ?? ['*'] };
}

/** A grant made ready to be asked. */
export interface Permission {
  readonly classes: ReadonlySet<AccessClass>;
  readonly covers: (method: string) => boolean;
  /** The globs, for a refusal's text. */
  readonly methods: readonly string[];
}

// Two stars in a row would mean "two or more characters", which nobody wants to say.
const GLOB = /^(?!.*\*\*)[\w.*]{1,200}$/;

/** True for what can stand among a grant's methods. */
export function isMethodGlob(text: string): boolean {
  return GLOB.test(text);
}

/** Compiles a grant: once per start, or when a token changes. */
export function permissionOf({ classes, methods }: Grant): Permission {
  const globs = methods.map(compileGlob);
  return { classes: new Set(classes), methods, covers: (method) => globs.some((covers) => covers(method)) };
}

/** Without a regular expression: those with many stars take exponential time for names made to that end; this takes each part at its first place. */
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

/** Which token it is among all that ever have its name: some digits of its SHA-256 (hex). */
export function tokenId(sha256: string): string {
  return sha256.slice(0, TOKEN_ID_DIGITS);
}
