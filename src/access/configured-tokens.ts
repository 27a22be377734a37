/** The tokens that a start knows: the admin's, and those of the configuration, whose secrets lie in files and variables. */
import { createHash } from 'node:crypto';
import { grantOf } from './grants.ts';
import { ACCESS_CLASSES, RelayError } from '../core/core.ts';
import type { Extension, Grant } from './grants.ts';
import { readSecret } from './secret.ts';
import type { SecretPlace } from './secret.ts';

/** A token as the configuration has it. */
export interface TokenOptions extends SecretPlace {
  readonly classes?: Grant['classes'] | undefined;
  readonly methods?: Grant['methods'] | undefined;
  readonly reads?: readonly Extension[] | undefined;
  readonly expires?: string | undefined;
}

/** A token by its hash. */
export interface HashedToken extends Grant {
  readonly name: string;
  /** SHA-256, hex. */
  readonly sha256: string;
  /** The extensions of XML-RPC that its holder reads. */
  readonly reads?: readonly Extension[] | undefined;
  /** ISO 8601; from then on it is refused. */
  readonly expires?: string | undefined;
}

/**
 * All of them; `adminToken` undefined: without the admin's. Throws a RelayError CONFIG_INVALID for a secret that is missing, empty, unreadable, or there twice.
 */
export function configuredTokens(
  tokens: Readonly<Record<string, TokenOptions>>,
  adminToken: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): readonly HashedToken[] {
  const known: HashedToken[] =
    adminToken === undefined ? [] : [{ name: 'admin', sha256: sha256(adminToken), classes: ACCESS_CLASSES, methods: ['*'] }];
  for (const [name, token] of Object.entries(tokens)) {
    const option = `access.tokens.${name}`;
    const hash = sha256(readSecret(option, token, environment));
    const same = known.find((other) => other.sha256 === hash);
    if (same) throw new RelayError('CONFIG_INVALID', `${option}: its secret is that of the token ${same.name}; give each its own`);
    known.push({ name, sha256: hash, ...grantOf(token), reads: token.reads, expires: token.expires });
  }
  return known;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
