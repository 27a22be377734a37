/** `tokens.json`: what stands in it, and how it is read. */
import type { Stats } from 'node:fs';
import { z } from 'zod';
import { EXTENSIONS, isMethodGlob } from './grants.ts';
import { ACCESS_CLASSES, RelayError } from '../core/core.ts';
import type { Extension, Grant } from './grants.ts';
import { requireOwn, readSmallFile, isCode, systemReason } from '../state/state.ts';

/** A token as it is kept: who has the file cannot present it. */
export interface StoredToken extends Grant {
  readonly name: string;
  /**
   * SHA-256 of the token, hex. A slow hash with salt guards secrets that people choose; this one is 256 random bits, which nobody finds by trying,
   * and it is compared at every request.
   */
  readonly sha256: string;
  /** The extensions of XML-RPC that its holder reads. */
  readonly reads?: readonly Extension[] | undefined;
  /** ISO 8601. */
  readonly created: string;
  /** ISO 8601; from then on it is refused. */
  readonly expires?: string | undefined;
}

/** Tokens in one file: each is compared with what a caller presents. */
export const MAX_TOKENS = 1_000;
const MAX_BYTES = 1024 * 1024;

export const TOKEN_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i;

const date = z.string().refine((text) => !Number.isNaN(Date.parse(text)));
const TOKENS = z.strictObject({
  version: z.literal(1),
  tokens: z
    .array(
      z.strictObject({
        name: z.string().regex(TOKEN_NAME),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        classes: z.array(z.enum(ACCESS_CLASSES)),
        methods: z.array(z.string().refine(isMethodGlob)),
        reads: z.array(z.enum(EXTENSIONS)).optional(),
        created: date,
        expires: date.optional(),
      }),
    )
    .max(MAX_TOKENS),
});

/** The tokens in `file`; none if it is not there. Throws a RelayError STATE_DIRECTORY that names the file and what to do. */
export function readTokens(file: string): readonly StoredToken[] {
  const text = readPrivate(file);
  if (text === undefined) return [];
  const parsed = TOKENS.safeParse(jsonIn(text));
  if (parsed.success) return parsed.data.tokens;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` (at ${issue.path.join('.')})`;
  throw refusal(file, `is damaged${where}; restore it, or delete it, which revokes all tokens in it`);
}

export function writtenTokens(tokens: readonly StoredToken[]): string {
  return `${JSON.stringify({ version: 1, tokens }, undefined, 2)}\n`;
}

function readPrivate(file: string): string | undefined {
  const check = (stats: Stats): void => {
    requireOwn(file, stats);
    if (process.platform !== 'win32' && (stats.mode & 0o077) !== 0)
      throw refusal(file, `is open to other users (mode ${(stats.mode & 0o777).toString(8)}): run chmod 600 on it`);
  };
  try {
    return readSmallFile(file, { maxBytes: MAX_BYTES, links: 'refuse', check });
  } catch (error) {
    if (RelayError.is(error)) throw error;
    if (isCode(error, 'ENOENT')) return undefined;
    const remedy = 'make it a file that the user of the relay can read, or delete it, which revokes all tokens in it';
    throw refusal(file, `cannot be read: ${systemReason(error)}; ${remedy}`, error);
  }
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function refusal(file: string, text: string, cause?: unknown): RelayError {
  return new RelayError('STATE_DIRECTORY', `${file} ${text}`, { cause });
}
