/** Creates and revokes tokens in the state directory, while a relay may run on it. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { RelayError, suggest } from '../core/core.ts';
import type { Grant } from './grants.ts';
import { inTurn, replaceFile, systemReason } from '../state/state.ts';
import { TOKENS_FILE } from './token-file.ts';
import { MAX_TOKENS, TOKEN_NAME, readTokens, writtenTokens } from './token-format.ts';
import type { StoredToken } from './token-format.ts';

/** Adds a token of 256 random bits and answers it: the file has but its hash. `dataDir` must be there. Throws RelayErrors INVALID_PARAMS and STATE_DIRECTORY. */
export async function addToken(
  dataDir: string,
  { name, classes, methods, reads }: Grant & Pick<StoredToken, 'name' | 'reads'>,
  expires: Date | undefined,
  now: Date,
): Promise<string> {
  if (!TOKEN_NAME.test(name) || name === 'admin')
    throw new RelayError('INVALID_PARAMS', "a token's name has letters, digits, '.', '_' and '-', 64 at most, and is not admin");
  const token = randomBytes(32).toString('base64url');
  await edit(dataDir, (tokens) => {
    if (tokens.some((other) => other.name === name))
      throw new RelayError('INVALID_PARAMS', `there is a token '${name}' already; revoke it first, or take another name`);
    if (tokens.length >= MAX_TOKENS)
      throw new RelayError('LIMIT', `there are ${MAX_TOKENS} tokens already; revoke those that nobody needs`);
    const sha256 = createHash('sha256').update(token).digest('hex');
    return [...tokens, { name, sha256, classes, methods, reads, created: now.toISOString(), expires: expires?.toISOString() }];
  });
  return token;
}

/** Takes the token away. Throws RelayErrors INVALID_PARAMS and STATE_DIRECTORY. */
export async function removeToken(dataDir: string, name: string): Promise<void> {
  // Before the lock: where there is no state directory, there is no place for one.
  requireKnown(listTokens(dataDir), name);
  await edit(dataDir, (tokens) => tokens.filter((token) => token.name !== name));
}

function requireKnown(tokens: readonly StoredToken[], name: string): void {
  const names = tokens.map((token) => token.name);
  if (!names.includes(name)) throw new RelayError('INVALID_PARAMS', `there is no token '${name}'${suggest(name, names)}`);
}

/** What is in the file, expired ones too. Throws a RelayError STATE_DIRECTORY. */
export function listTokens(dataDir: string): readonly StoredToken[] {
  return readTokens(join(dataDir, TOKENS_FILE));
}

async function edit(dataDir: string, change: (tokens: readonly StoredToken[]) => readonly StoredToken[]): Promise<void> {
  const file = join(dataDir, TOKENS_FILE);
  try {
    // Two commands at once take turns, or the later one would undo the other.
    // Nobody knows how long a slow disk takes, so a lock that was left behind is named and not removed.
    await inTurn({ lock: `${file}.lock`, who: 'co2 token', removesStale: false }, () =>
      replaceFile(file, writtenTokens(change(readTokens(file)))),
    );
  } catch (error) {
    if (RelayError.is(error)) throw error;
    throw new RelayError('STATE_DIRECTORY', `${file} cannot be written: ${systemReason(error)}`, { cause: error });
  }
}
