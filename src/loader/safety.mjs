// @ts-check
/** Decides which files may be executed: only sources, and only those that no other user could have written. */

/** 4 MiB: sources that people write are smaller, and compiling a larger one would block the relay. */
export const MAX_SOURCE_BYTES = 4 * 1024 * 1024;

/**
 * The part of fs.Stats or fs.BigIntStats that is checked.
 * @typedef {{ isFile(): boolean, mode: number | bigint, uid: number | bigint, size: number | bigint }} FileStatus
 */

/**
 * The reason why a file must not be executed. Undefined if it may be.
 * @param {FileStatus} status
 * @param {number} directoryOwner User id of the owner of the trusted directory, who need not be the user that runs the relay.
 * @returns {string | undefined}
 */
export function whyNotExecutable(status, directoryOwner) {
  if (!status.isFile()) return 'it is not a regular file';
  if (isWritableByAll(status)) return 'every user of this machine can write to it, and it would be executed; chmod o-w';
  const uid = Number(status.uid);
  // Windows has no such owners: all are 0.
  const trusted = [0, directoryOwner, process.getuid?.() ?? 0];
  if (!trusted.includes(uid))
    return `it belongs to user ${uid}, who is neither the owner of the directory (${directoryOwner}), nor the user of this relay, nor root; chown it if it is meant to run`;
  if (Number(status.size) > MAX_SOURCE_BYTES)
    return `it has ${String(status.size)} bytes, and a source may have at most ${MAX_SOURCE_BYTES}; load large data from a file`;
  return undefined;
}

/** True if any user may write; Windows has no such bit. @param {{ mode: number | bigint }} status */
export function isWritableByAll(status) {
  return process.platform !== 'win32' && (Number(status.mode) & 0o002) !== 0;
}
