/**
 * `tokens.json` in the state directory: its format, the functions that add and remove tokens, and the view of a running relay, which
 * follows changes to the file.
 */
import { randomBytes } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { ACCESS_CLASSES, RelayError, reasonOf, sha256, suggest } from '../core/core.ts';
import type { Clock, ErrorReason, Log } from '../core/core.ts';
import { isCode, readSmallFile, replaceFile, requireOwn, systemReason, withLockFile } from '../state/state.ts';
import type { KnownToken } from './credentials.ts';
import { EXTENSIONS, isMethodGlob } from './grants.ts';

/** A token as it is stored: a hash, so that a reader of the file cannot present it. */
export interface StoredToken extends KnownToken {
  /** ISO 8601. */
  readonly created: string;
}

const TOKENS_FILE = 'tokens.json';
// Every request is compared with all of them.
const MAX_TOKENS = 1_000;
const MAX_FILE_BYTES = 1024 * 1024;
const TOKEN_NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/i;
// A revoked token stays valid for at most this long, and requests cause at most one look at the disk in this time.
const CHECK_INTERVAL_MS = 1_000;
// A file that is being written is complete by then. Beyond that, an unreadable file must not keep revoked tokens valid.
const GRACE_MS = 4 * CHECK_INTERVAL_MS;

/** The tokens as a running relay sees them. */
export class TokenFile {
  readonly #file: string;
  #tokens: readonly StoredToken[];
  // Undefined if the last read failed.
  #signature: string | undefined;
  // When the current series of failed reads began.
  #unreadableSince: number | undefined;
  #checkedAt: number;

  /** Reads the file in `dataDir`. Throws a RelayError STATE_DIRECTORY if it is damaged, unreadable or open to other users. */
  constructor(
    dataDir: string,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.#file = join(dataDir, TOKENS_FILE);
    // The signature is taken first, so that a change between the two statements causes a second read and is not missed.
    this.#signature = signatureOf(this.#file);
    this.#tokens = readTokens(this.#file);
    this.#checkedAt = clock.now();
  }

  /**
   * The tokens, at most a second old; the same array as long as nothing changed. If the file becomes unreadable, the previous tokens stay
   * valid for a few seconds, and then none until it can be read again. Both are logged.
   */
  all(): readonly StoredToken[] {
    const now = this.clock.now();
    if (now - this.#checkedAt < CHECK_INTERVAL_MS) return this.#tokens;
    this.#checkedAt = now;
    const signature = signatureOf(this.#file);
    if (signature !== this.#signature) this.#reload(signature, now);
    return this.#tokens;
  }

  #reload(signature: string, now: number): void {
    try {
      this.#tokens = readTokens(this.#file);
      this.#signature = signature;
      this.#unreadableSince = undefined;
      this.log.info(`${this.#file} has changed: ${this.#tokens.length} tokens`);
    } catch (error) {
      // The next check reads the file whatever its signature is.
      this.#signature = undefined;
      this.#keepOrDrop(now, reasonOf(error));
    }
  }

  #keepOrDrop(now: number, reason: string): void {
    if (this.#unreadableSince === undefined) {
      this.#unreadableSince = now;
      this.log.error(`the previous tokens stay valid, revoked ones included: ${reason}`);
    } else if (now - this.#unreadableSince >= GRACE_MS && this.#tokens.length > 0) {
      this.#tokens = [];
      this.log.error(`${this.#file}: all its tokens are invalid until it can be read: ${reason}`);
    }
  }
}

/**
 * Adds a token of 256 random bits and returns it; the file holds only its hash. `dataDir` must exist. Throws RelayErrors INVALID_PARAMS,
 * LIMIT and STATE_DIRECTORY.
 */
export async function addToken(
  dataDir: string,
  { name, ...grant }: Pick<StoredToken, 'name' | 'classes' | 'methods' | 'reads'>,
  expires: Date | undefined,
  now: Date,
): Promise<string> {
  if (!TOKEN_NAME.test(name) || name === 'admin')
    throw new RelayError('INVALID_PARAMS', "a token's name has letters, digits, '.', '_' and '-', 64 at most, and is not admin", {
      data: { reason: 'invalid-name' },
    });
  const token = randomBytes(32).toString('base64url');
  await edit(dataDir, (tokens) => {
    if (tokens.some((other) => other.name === name))
      throw new RelayError('INVALID_PARAMS', `there is already a token '${name}'; revoke it first, or choose another name`, {
        data: { reason: 'name-taken' },
      });
    if (tokens.length >= MAX_TOKENS) throw new RelayError('LIMIT', `there are already ${MAX_TOKENS} tokens; revoke those no longer needed`);
    return [...tokens, { name, sha256: sha256(token), ...grant, created: now.toISOString(), expires: expires?.toISOString() }];
  });
  return token;
}

/** Revokes a token. Throws RelayErrors INVALID_PARAMS and STATE_DIRECTORY. */
export async function removeToken(dataDir: string, name: string): Promise<void> {
  // Checked before the lock is acquired, since the lock file needs a state directory.
  const names = listTokens(dataDir).map((token) => token.name);
  if (!names.includes(name))
    throw new RelayError('INVALID_PARAMS', `there is no token '${name}'${suggest(name, names)}`, { data: { reason: 'unknown-name' } });
  await edit(dataDir, (tokens) => tokens.filter((token) => token.name !== name));
}

/** The tokens in the file, expired ones included. Throws a RelayError STATE_DIRECTORY. */
export function listTokens(dataDir: string): readonly StoredToken[] {
  return readTokens(join(dataDir, TOKENS_FILE));
}

async function edit(dataDir: string, change: (tokens: readonly StoredToken[]) => readonly StoredToken[]): Promise<void> {
  const file = join(dataDir, TOKENS_FILE);
  try {
    // Concurrent commands must not overwrite each other's changes. A stale lock is reported instead of removed, since a slow disk may
    // take any time.
    await withLockFile({ path: `${file}.lock`, holder: 'co2 token', removesStale: false }, () => {
      const content = { version: 1, tokens: change(readTokens(file)) };
      return replaceFile(file, `${JSON.stringify(content, undefined, 2)}\n`);
    });
  } catch (error) {
    if (RelayError.is(error)) throw error;
    throw new RelayError('STATE_DIRECTORY', `${file} cannot be written: ${systemReason(error)}`, {
      cause: error,
      data: { reason: 'unwritable', path: file },
    });
  }
}

const date = z.string().check(z.refine((text) => !Number.isNaN(Date.parse(text))));
const CONTENT = z.strictObject({
  version: z.literal(1),
  tokens: z
    .array(
      z.strictObject({
        name: z.string().check(z.regex(TOKEN_NAME)),
        sha256: z.string().check(z.regex(/^[0-9a-f]{64}$/)),
        classes: z.array(z.enum(ACCESS_CLASSES)),
        methods: z.array(z.string().check(z.refine(isMethodGlob))),
        reads: z.optional(z.array(z.enum(EXTENSIONS))),
        created: date,
        expires: z.optional(date),
      }),
    )
    .check(z.maxLength(MAX_TOKENS)),
});

/** The tokens in `file`; none if it does not exist. Throws a RelayError STATE_DIRECTORY that names the file and what to do. */
function readTokens(file: string): readonly StoredToken[] {
  const text = readPrivate(file);
  if (text === undefined) return [];
  const parsed = CONTENT.safeParse(parseJson(text));
  if (parsed.success) return parsed.data.tokens;
  const [issue] = parsed.error.issues;
  const where = issue === undefined || issue.path.length === 0 ? '' : ` (at ${issue.path.join('.')})`;
  throw unusable('damaged', file, `is damaged${where}; restore it, or delete it, which revokes all tokens in it`);
}

function readPrivate(file: string): string | undefined {
  const check = (stats: Stats): void => {
    requireOwn(file, stats);
    if (process.platform !== 'win32' && (stats.mode & 0o077) !== 0)
      throw unusable('open-to-others', file, `is open to other users (mode ${(stats.mode & 0o777).toString(8)}): run chmod 600 on it`);
  };
  try {
    return readSmallFile(file, { maxBytes: MAX_FILE_BYTES, links: 'refuse', check });
  } catch (error) {
    if (RelayError.is(error)) throw error;
    if (isCode(error, 'ENOENT')) return undefined;
    const remedy = 'make it a file that the user of the relay can read, or delete it, which revokes all tokens in it';
    throw unusable('unreadable', file, `cannot be read: ${systemReason(error)}; ${remedy}`, error);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unusable(reason: ErrorReason, file: string, text: string, cause?: unknown): RelayError {
  return new RelayError('STATE_DIRECTORY', `${file} ${text}`, { cause, data: { reason, path: file } });
}

/** Changes whenever the file is replaced, written, or given another mode. */
function signatureOf(file: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(file, { bigint: true });
    return [ino, size, mtimeNs, ctimeNs].join();
  } catch (error) {
    return isCode(error, 'ENOENT') ? 'none' : reasonOf(error);
  }
}
