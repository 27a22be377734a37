/** Reads a secret from where the operator keeps it: a file or the environment. */
import type { Stats } from 'node:fs';
import { RelayError } from '../core/core.ts';
import { readSmallFile, systemReason } from '../state/state.ts';

/** Exactly one of both. */
export interface SecretPlace {
  /** Absolute. */
  readonly file?: string | undefined;
  /** Name of a variable. */
  readonly env?: string | undefined;
}

// What an Authorization header can carry; below 16 characters a guesser has a chance.
const SECRET = /^[\x21-\x7e]{16,512}$/;
// Blanks and line ends around it included.
const MAX_BYTES = 4096;

/** The secret at `place`. Throws a RelayError CONFIG_INVALID that begins with `option` and never shows the secret. */
export function readSecret(option: string, { file, env }: SecretPlace, environment: Readonly<Record<string, string | undefined>>): string {
  const where = file ?? `the environment variable ${env ?? ''}`;
  const refuse = (reason: string, cause?: unknown): never => {
    throw new RelayError('CONFIG_INVALID', `${option}: ${where} ${reason}`, { cause });
  };
  const found = file === undefined ? environment[env ?? ''] : readPrivate(file, refuse);
  if (found === undefined) return refuse('is not set; set it to the secret');
  const secret = found.trim();
  if (secret === '') return refuse('is empty; put the secret there');
  if (!SECRET.test(secret)) return refuse('holds no usable secret: expected 16 to 512 printable ASCII characters without blanks');
  return secret;
}

function readPrivate(file: string, refuse: (reason: string, cause?: unknown) => never): string {
  const check = ({ mode }: Stats): void => {
    if (process.platform !== 'win32' && (mode & 0o007) !== 0) refuse('is open to all users of this machine: run chmod o-rwx on it');
  };
  try {
    return readSmallFile(file, { maxBytes: MAX_BYTES, links: 'follow', check });
  } catch (error) {
    if (RelayError.is(error)) throw error;
    return refuse(`cannot be read: ${systemReason(error)}`, error);
  }
}
