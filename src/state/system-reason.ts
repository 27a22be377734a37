/** Explains system errors about files to an operator. */

/** The reason of a failed file operation. */
export function systemReason(error: unknown): string {
  if (isCode(error, 'EACCES') || isCode(error, 'EPERM')) return 'permission denied';
  if (isCode(error, 'ENOENT')) return 'there is no such file';
  if (isCode(error, 'ENOTDIR') || isCode(error, 'EEXIST')) return 'a file stands where a directory is needed';
  if (isCode(error, 'EISDIR')) return 'a directory stands where a file is needed';
  if (isCode(error, 'ELOOP')) return 'a symbolic link stands where a file is needed';
  if (isCode(error, 'ENXIO')) return 'it is not a regular file';
  if (isCode(error, 'ENOSPC')) return 'the disk is full';
  if (isCode(error, 'EROFS')) return 'the file system is read-only';
  return error instanceof Error ? error.message : String(error);
}

/** True if `error` is a system error with this code. */
export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === code;
}
