/** Access to the guide docs/plugins.md for its tests: its code snippets by name, and a directory to run them in. */
import { readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { ExecutionContext } from 'ava';
import { PROJECT_DIR } from '../support/processes.ts';
import { pluginsDir } from '../support/relays.ts';
import { snippetsOf } from './snippets.ts';

/** Runs a snippet, and asserts that it does what the text says. */
export type Run = (t: ExecutionContext, source: string) => Promise<void>;

/** Snippets that need more than Node; they are run in test/interop. */
export const IN_OTHER_LANGUAGES = ['program-commands', 'program-config', 'program-in-c', 'compile-c'] as const;

export const snippets = snippetsOf(readFileSync(join(PROJECT_DIR, 'docs/plugins.md'), 'utf8'));

/** Returns the snippet with this name; `''` if there is none. */
export function sourceOf(wanted: string): string {
  return snippets.find(({ name }) => name === wanted)?.source ?? '';
}

/** Creates a directory with these files and the packages that this project has installed. */
export function project(t: ExecutionContext, files: Readonly<Record<string, string>>): string {
  const directory = pluginsDir(t, { 'package.json': '{"type":"module"}', ...files });
  symlinkSync(join(PROJECT_DIR, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}
