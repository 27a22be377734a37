/** The files among `relayPlugins`, made absolute, each from where it was written. */
import { resolve } from 'node:path';
import { isFileName } from '../plugin-host/plugin-host.ts';

/** `list` (raw, unchecked) with the paths in it made absolute; names of modules, and whatever is wrong, stay. */
export function absoluteUses(list: unknown, baseDir: string): unknown {
  if (!Array.isArray(list)) return list;
  const absolute = (use: unknown): unknown => (typeof use === 'string' && isFileName(use) ? resolve(baseDir, use) : use);
  return list.map((entry: unknown) =>
    typeof entry === 'object' && entry !== null && 'use' in entry ? { ...entry, use: absolute(entry.use) } : absolute(entry),
  );
}
