/** Access: roles, grants, tokens and credentials; rate limits and the lockout after wrong credentials. */
export { configuredTokens } from './configured-tokens.ts';
export { credentialCheck } from './credentials.ts';
export type { KnownToken, Presented, TokenSource } from './credentials.ts';
export { EXTENSIONS, grantOf, isMethodGlob, permissionOf, tokenId } from './grants.ts';
export type { Extension, Grant, Permission } from './grants.ts';
export { Lockout } from './lockout.ts';
export { describeCaller } from './principal.ts';
export type { Role, Principal } from './principal.ts';
export { RateLimits } from './rate-limits.ts';
export { Access } from './roles.ts';
export { addToken, listTokens, removeToken } from './token-edit.ts';
export { TokenFile } from './token-file.ts';
export type { StoredToken } from './token-format.ts';
export { accessDefaults, accessShape } from './options.ts';
export type { AccessOptions } from './options.ts';
