/** Explains system errors about files to an operator. */

/** The reason of a failed file operation. */
export function systemReason(error: unknown): string {
  if (isCode(error, 'EACCES') || isCode(error, 'EPERM')) return 'permission denied';
  if (isCode(error, 'ENOENT')) return 'there is no such file';
  if (isCode(error, 'ENOTDIR') || isCode(error, 'EEXIST')) return 'expected a directory, found a file';
  if (isCode(error, 'EISDIR')) return 'expected a file, found a directory';
  if (isCode(error, 'ELOOP')) return 'expected a file, found a symbolic link';
  if (isCode(error, 'ENXIO')) return 'it is not a regular file';
  if (isCode(error, 'ENOSPC')) return 'the disk is full';
  if (isCode(error, 'EROFS')) return 'the file system is read-only';
  return error instanceof Error ? error.message : String(error);
}

/** True if `error` is a system error with this code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
