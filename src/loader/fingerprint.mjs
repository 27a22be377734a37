// @ts-check
/** Fingerprints of files, which tell whether a file has changed since it was read. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

/**
 * `hash` is of the content. It is only there if the file was so new when it was read that a second write may have the same time.
 * @typedef {{ stamp: string, hash?: string | undefined }} Fingerprint
 */

/** The fingerprint of a file that is missing, or cannot be read. @type {Fingerprint} */
export const ABSENT = { stamp: '' };

/** The fingerprint of a file that has changed since. No file has it. @type {Fingerprint} */
export const CHANGED = { stamp: 'changed' };

/** Two writes within this time may have the same timestamp, since the clocks of file systems have a precision of some ms. */
const YOUNG_MS = 50;
const BIG = /** @type {const} */ ({ bigint: true });

/** @param {string} file @returns {Fingerprint} */
export function fingerprintSync(file) {
  try {
    const status = statSync(file, BIG);
    return { stamp: stampOf(status), hash: isYoung(status) ? hashOf(readFileSync(file)) : undefined };
  } catch {
    return ABSENT;
  }
}

/** @param {string} file @returns {Promise<Fingerprint>} */
export async function fingerprint(file) {
  try {
    const status = await stat(file, BIG);
    return { stamp: stampOf(status), hash: isYoung(status) ? hashOf(await readFile(file)) : undefined };
  } catch {
    return ABSENT;
  }
}

/** True if the file is as it was when `known` was taken. @param {string} file @param {Fingerprint} known */
export async function isUnchanged(file, known) {
  try {
    if (stampOf(await stat(file, BIG)) !== known.stamp) return false;
    return known.hash === undefined || hashOf(await readFile(file)) === known.hash;
  } catch {
    return known.stamp === ABSENT.stamp;
  }
}

/** True if both have the same content. @param {Fingerprint} one @param {Fingerprint} other */
export function isSame(one, other) {
  // One may have been taken when the file was new, the other later.
  return one.stamp === other.stamp && (one.hash ?? other.hash) === (other.hash ?? one.hash);
}

/** Bytes of the file when the print was taken; 0 if it was not there. @param {Fingerprint} print */
export function sizeOf({ stamp }) {
  return Number(stamp.split(':')[2] ?? 0);
}

/** The current size of a file; 0 if it does not exist. @param {string} file */
export async function sizeNow(file) {
  return stat(file).then(
    (status) => status.size,
    () => 0,
  );
}

/** Uses the time of the last status change, so that new permissions count, too. @param {import('node:fs').BigIntStats} status */
function stampOf({ dev, ino, size, ctimeNs }) {
  return `${dev}:${ino}:${size}:${ctimeNs}`;
}

/** Only for regular files, since reading a FIFO would never end. @param {import('node:fs').BigIntStats} status */
function isYoung(status) {
  return status.isFile() && Date.now() - Number(status.ctimeMs) < YOUNG_MS;
}

/** @param {Buffer} content */
function hashOf(content) {
  return createHash('sha256').update(content).digest('base64');
}
