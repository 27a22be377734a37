/** Access control: roles, grants, tokens and credentials; rate limits and the lockout after wrong credentials. */
export { configuredTokens } from './configured-tokens.ts';
export { credentialCheck } from './credentials.ts';
export type { KnownToken, Presented, TokenSource } from './credentials.ts';
export { EXTENSIONS, grantOf, isMethodGlob, permissionOf } from './grants.ts';
export type { Extension, Grant, Permission } from './grants.ts';
export { Lockout } from './lockout.ts';
export { describeCaller, Access } from './roles.ts';
export type { CallingNode, Role, Principal, SessionCall, TlsChannel } from './roles.ts';
export { RateLimits } from './rate-limits.ts';
export { relayTokens } from './relay-tokens.ts';
export { nodeOf, submitterAt, submitterOf } from './submitter.ts';
export type { Submitter } from './submitter.ts';
export { addToken, listTokens, removeToken, TokenFile } from './token-file.ts';
export type { StoredToken } from './token-file.ts';
export { accessDefaults, accessShape } from './options.ts';
export type { AccessOptions } from './options.ts';
