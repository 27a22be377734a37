/** The hash by which tokens are stored and compared. */
import { createHash } from 'node:crypto';

/**
 * SHA-256 of `text`, hex. A slow, salted hash is for secrets that people choose; our tokens are random bits that cannot be guessed, and
 * they are compared at every request.
 */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
