/** Checks the credential of a request, a Bearer token or the password of Basic authentication, against the known tokens. */
import { timingSafeEqual } from 'node:crypto';
import { sha256 } from '../core/core.ts';
import { permissionOf, tokenId } from './grants.ts';
import type { Extension, Grant, Permission } from './grants.ts';
import type { Extensions } from '../xmlrpc/xmlrpc.ts';

/** A token that the relay knows, by its hash. */
export interface KnownToken extends Grant {
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly sha256: string;
  /** ISO 8601; the token is rejected from then on. */
  readonly expires?: string | undefined;
  /** The XML-RPC extensions that its holder reads. */
  readonly reads?: readonly Extension[] | undefined;
}

/** Returns the current tokens; the same array as long as nothing changed. */
export type TokenSource = () => readonly KnownToken[];

/** What a request presented. An expired token does not count as a guess, since its holder knew it. */
export type Presented =
  | { readonly kind: 'none' }
  | { readonly kind: 'wrong' }
  | { readonly kind: 'expired'; readonly name: string }
  | {
      readonly kind: 'token';
      readonly name: string;
      readonly id: string;
      readonly may: Permission;
      /** Undefined if the token does not specify it. */
      readonly reads: Extensions | undefined;
    };

interface CompiledToken {
  readonly name: string;
  readonly id: string;
  readonly hash: Buffer;
  readonly may: Permission;
  readonly reads: Extensions | undefined;
  readonly expiresAt: number;
}

/** Returns a function that checks an Authorization header; `date` is ms since 1970. */
export function credentialCheck(sources: readonly TokenSource[], date: () => number): (authorization: string | undefined) => Presented {
  const compiled = sources.map(compiledOnChange);
  return (authorization) => {
    if (authorization === undefined) return { kind: 'none' };
    const presented = Buffer.from(sha256(tokenIn(authorization) ?? ''), 'hex');
    let found: CompiledToken | undefined;
    // Every token is compared, each in constant time, so that the duration does not show which one was nearly right.
    for (const tokens of compiled) for (const token of tokens()) if (timingSafeEqual(presented, token.hash)) found = token;
    if (!found) return { kind: 'wrong' };
    const { name, id, may, reads, expiresAt } = found;
    return date() < expiresAt ? { kind: 'token', name, id, may, reads } : { kind: 'expired', name };
  };
}

function compiledOnChange(source: TokenSource): () => readonly CompiledToken[] {
  let from: readonly KnownToken[] = [];
  let compiled: readonly CompiledToken[] = [];
  return () => {
    const tokens = source();
    if (tokens !== from) compiled = tokens.map(compile);
    from = tokens;
    return compiled;
  };
}

function compile({ name, sha256: hash, expires, reads = [], ...grant }: KnownToken): CompiledToken {
  const expiresAt = expires === undefined ? Infinity : Date.parse(expires);
  const known = reads.length === 0 ? undefined : { nil: reads.includes('nil'), i8: reads.includes('i8') };
  return { name, id: tokenId(hash), hash: Buffer.from(hash, 'hex'), may: permissionOf(grant), reads: known, expiresAt };
}

// Far longer than any token. Header values are Latin-1, so characters are bytes.
const MAX_HEADER_BYTES = 2048;

function tokenIn(authorization: string): string | undefined {
  if (authorization.length > MAX_HEADER_BYTES) return undefined;
  const [scheme = '', value = '', ...rest] = authorization.trim().split(/ +/);
  if (rest.length > 0 || value === '') return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : pair.slice(colon + 1);
}
