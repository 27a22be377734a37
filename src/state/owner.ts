/** Whose a file is: another user could change what he owns in the state directory, whatever its mode says. */
import type { Stats } from 'node:fs';
import { RelayError } from '../core/core.ts';

/** Throws a RelayError STATE_DIRECTORY if `path` belongs to another user than `ours`. Default: the user of this process; Windows has none. */
export function requireOwn(path: string, { uid }: Pick<Stats, 'uid'>, ours = process.geteuid?.()): void {
  if (ours === undefined || uid === ours) return;
  throw new RelayError(
    'STATE_DIRECTORY',
    `${path} belongs to user ${uid}, but this process runs as user ${ours}: run it as user ${uid}, give the directory and what is in it to user ${ours} (chown), or choose another with --data`,
  );
}
