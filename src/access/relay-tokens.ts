/** The tokens that a relay accepts: those of its options, and those of `co2 token`. */
import type { Clock, Log } from '../core/core.ts';
import { configuredTokens } from './configured-tokens.ts';
import type { TokenSource } from './credentials.ts';
import { tokenId } from './grants.ts';
import type { AccessOptions } from './options.ts';
import { TokenFile } from './token-file.ts';

export interface RelayTokensParts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** ms since 1970. */
  readonly date: () => number;
  readonly log: Log;
}

/** The sources of tokens, and whether one that was valid still is. */
export function relayTokens(
  configured: AccessOptions['access']['tokens'],
  state: { readonly path: string; readonly adminToken: string },
  { env, clock, date, log }: RelayTokensParts,
): {
  readonly tokens: readonly TokenSource[];
  readonly isValidToken: (token: { readonly name: string; readonly id: string }) => boolean;
} {
  const own = configuredTokens(configured, state.adminToken, env);
  const file = new TokenFile(state.path, clock, log);
  return {
    tokens: [() => own, () => file.all()],
    isValidToken: ({ name, id }) =>
      [...own, ...file.all()].some(
        (token) => token.name === name && tokenId(token.sha256) === id && !(Date.parse(token.expires ?? '') <= date()),
      ),
  };
}
