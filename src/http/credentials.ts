/** The credential of a request: a token as bearer, or as the password of Basic. */
import { createHash, timingSafeEqual } from 'node:crypto';

/** What a request presented: nothing, the admin token, or something wrong. */
export type Presented = 'none' | 'admin' | 'wrong';

/** Judges Authorization headers against the admin token, in constant time. */
export function credentialCheck(adminToken: string): (authorization: string | undefined) => Presented {
  const expected = digest(adminToken);
  return (authorization) => {
    if (authorization === undefined) return 'none';
    const token = tokenOf(authorization);
    // Digests have one length, so that the comparison tells nothing about the token's.
    return token !== undefined && timingSafeEqual(digest(token), expected) ? 'admin' : 'wrong';
  };
}

function tokenOf(authorization: string): string | undefined {
  const [scheme = '', value = '', ...rest] = authorization.slice(0, 2048).trim().split(/ +/);
  if (rest.length > 0 || value === '') return undefined;
  if (scheme.toLowerCase() === 'bearer') return value;
  if (scheme.toLowerCase() !== 'basic') return undefined;
  const pair = Buffer.from(value, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0 ? undefined : pair.slice(colon + 1);
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
