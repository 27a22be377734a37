/** The tokens known at start: the admin token, and those of the configuration, whose secrets are in files and environment variables. */
import type { Stats } from 'node:fs';
import { ACCESS_CLASSES, RelayError, sha256 } from '../core/core.ts';
import { readSmallFile, systemReason } from '../state/state.ts';
import type { KnownToken } from './credentials.ts';
import { grantOf } from './grants.ts';
import type { ConfiguredToken } from './options.ts';

type Environment = Readonly<Record<string, string | undefined>>;

// What an Authorization header can carry; a secret of fewer than 16 characters could be guessed.
const SECRET = /^[\x21-\x7e]{16,512}$/;
// Including white space and line ends around the secret.
const MAX_FILE_BYTES = 4096;

/**
 * All tokens; the admin token only if `adminToken` is given. Throws a RelayError CONFIG_INVALID for a secret that is missing, empty,
 * unreadable or used twice.
 */
export function configuredTokens(
  tokens: Readonly<Record<string, ConfiguredToken>>,
  adminToken: string | undefined,
  environment: Environment,
): readonly KnownToken[] {
  const known: KnownToken[] =
    adminToken === undefined ? [] : [{ name: 'admin', sha256: sha256(adminToken), classes: ACCESS_CLASSES, methods: ['*'] }];
  for (const [name, token] of Object.entries(tokens)) {
    const option = `access.tokens.${name}`;
    const hash = sha256(readSecret(option, token, environment));
    const same = known.find((other) => other.sha256 === hash);
    if (same)
      throw new RelayError('CONFIG_INVALID', `${option}: has the same secret as token ${same.name}; give each token its own`, {
        data: { option },
      });
    known.push({ name, sha256: hash, ...grantOf(token), reads: token.reads, expires: token.expires });
  }
  return known;
}

/**
 * The secret in `file` (absolute) or in the variable `env`. Throws a RelayError CONFIG_INVALID that begins with `option` and never shows
 * the secret.
 */
export function readSecret(option: string, { file, env }: Pick<ConfiguredToken, 'file' | 'env'>, environment: Environment): string {
  const where = file ?? `the environment variable ${env ?? ''}`;
  const refuse = (reason: string, cause?: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `${option}: ${where} ${reason}`, { cause, data: { option } });
  };
  const found = file === undefined ? environment[env ?? ''] : readPrivate(file, refuse);
  if (found === undefined) return refuse('is not set; set it to the secret');
  const secret = found.trim();
  if (secret === '') return refuse('is empty; put the secret there');
  if (!SECRET.test(secret)) return refuse('does not hold a valid secret: expected 16 to 512 printable ASCII characters without spaces');
  return secret;
}

function readPrivate(file: string, refuse: (reason: string, cause?: unknown) => never): string {
  const check = ({ mode }: Stats): void => {
    if (process.platform !== 'win32' && (mode & 0o007) !== 0) refuse('is open to all users of this machine: run chmod o-rwx on it');
  };
  try {
    return readSmallFile(file, { maxBytes: MAX_FILE_BYTES, links: 'follow', check });
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return refuse(`cannot be read: ${systemReason(error)}`, error);
  }
}
