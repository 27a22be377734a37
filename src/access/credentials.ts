/** The credential of a request: a token as bearer, or as the password of Basic; and which of the known tokens it is. */
import { createHash, timingSafeEqual } from 'node:crypto';
import { permissionOf, tokenId } from './grants.ts';
import type { Extension, Grant, Permission } from './grants.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

/** A token that the relay knows, by its hash. */
export interface KnownToken extends Grant {
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly sha256: string;
  /** ISO 8601; from then on it is refused. */
  readonly expires?: string | undefined;
  /** The extensions of XML-RPC that its holder reads. */
  readonly reads?: readonly Extension[] | undefined;
}

/** Answers the tokens of today; the same array as long as nothing changed. */
export type TokenSource = () => readonly KnownToken[];

/** What a request presented. An expired token was right once: who has it guesses nothing. */
export type Presented =
  | { readonly kind: 'none' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'expired'; readonly name: string }
  | {
      readonly kind: 'token';
      readonly name: string;
      readonly id: string;
      readonly may: Permission;
      /** Undefined if nothing is said about it. */
      readonly reads: Extensions | undefined;
    };

interface Compiled {
  readonly name: string;
  readonly id: string;
  readonly hash: Buffer;
  readonly may: Permission;
  readonly reads: Extensions | undefined;
  readonly expiresAt: number;
}

/** Judges Authorization headers; `date` is ms since 1970. */
export function credentialCheck(sources: readonly TokenSource[], date: () => number): (authorization: string | undefined) => Presented {
  const compiled = sources.map(compiledOnChange);
  return (authorization) => {
    if (authorization === undefined) return { kind: 'none' };
    const presented = digest(tokenOf(authorization) ?? '');
    let found: Compiled | undefined;
    // All of them, and each in constant time: how long it takes tells nothing about which one was nearly right.
    for (const tokens of compiled) for (const token of tokens()) if (timingSafeEqual(presented, token.hash)) found = token;
    if (!found) return { kind: 'wrong' };
    const { name, id, may, reads, expiresAt } = found;
    return date() < expiresAt ? { kind: 'token', name, id, may, reads } : { kind: 'expired', name };
  };
}

function compiledOnChange(source: TokenSource): () => readonly Compiled[] {
  let from: readonly KnownToken[] = [];
  let compiled: readonly Compiled[] = [];
  return () => {
    const tokens = source();
    if (tokens !== from) compiled = tokens.map(compile);
    from = tokens;
    return compiled;
  };
}

function compile({ name, sha256, expires, reads = [], ...grant }: KnownToken): Compiled {
  const expiresAt = expires === undefined ? Infinity : Date.parse(expires);
  const known = reads.length === 0 ? undefined : { nil: reads.includes('nil'), i8: reads.includes('i8') };
  return { name, id: tokenId(sha256), hash: Buffer.from(sha256, 'hex'), may: permissionOf(grant), reads: known, expiresAt };
}

// Far more than any token has; what is longer is wrong as a whole.
const MAX_LENGTH = 2048;

function tokenOf(authorization: string): string | undefined {
  if (authorization.length > MAX_LENGTH) return undefined;
  const [scheme = '', value = '', ...rest] = authorization.trim().split(/ +/);
  if (rest.length > 0 || value === '') return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
