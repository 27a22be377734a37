/**
 * What a child knows of the files that it imported, on its way to the relay, which watches them: as XML-RPC, and read back with no more
 * belief than it needs.
 */
import type { Account } from '../../loader/loader.mjs';
import { isDict } from '../../values/values.ts';
import type { Sendable, Value } from '../../values/values.ts';

// Of a module with more helpers only the nearest ones are watched.
const MAX_FILES = 1_000;
const MAX_IMPORTS = 1_000;
const MAX_TEXT = 5_000;

/** As {@link readAccount} reads it. */
export function accountOnWire(account: Account): Sendable {
  return account.slice(0, MAX_FILES).map(({ file, print: { stamp, hash = '' }, imports }) => ({
    ...{ file, stamp, hash },
    imports: imports.map(([asked, found = '']) => [asked, found]),
  }));
}

/** What of `answer` is an account; the rest of it is left alone. */
export function readAccount(answer: Value | undefined): Account {
  if (!Array.isArray(answer) || answer.length > MAX_FILES) return [];
  return answer.flatMap((entry: Value) => {
    const { file, stamp, hash, imports } = isDict(entry) ? entry : {};
    if (!isText(file) || !isText(stamp) || !isText(hash) || !Array.isArray(imports) || imports.length > MAX_IMPORTS) return [];
    return [{ file, print: { stamp, hash: hash === '' ? undefined : hash }, imports: imports.flatMap(readImport) }];
  });
}

function readImport(pair: Value): [asked: string, found: string | undefined][] {
  const [asked, found] = Array.isArray(pair) ? (pair as readonly Value[]) : [];
  return isText(asked) && isText(found) ? [[asked, found === '' ? undefined : found]] : [];
}

function isText(value: Value | undefined): value is string {
  return typeof value === 'string' && value.length <= MAX_TEXT;
}
