/** Which modules run in a process of their own: what config.ts says, else what stands in the source, which is read and not run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isSyntaxSound } from '../../loader/loader.mjs';
import { RelayError, clean, suggest } from '../../core/core.ts';
import type { FoundModule } from './find.ts';

/** `inline`: in the relay's own process. `child`: in a process of its own. */
export type Isolation = 'inline' | 'child';

// A literal among the options of the decorator, in TypeScript and in what compilers make of it.
const DECLARED = /\bSatellite\)?\(\{[^}]{0,500}?\bisolation\s*:\s*(['"`])child\1/;
// The decorator in use, which an import of it is not.
const DECORATED = /\bSatellite\s*\)?\s*\(/;
const COMMENTS = /\/\*[^]*?\*\/|^\s*\/\/.*$/gm;

/** Throws a RelayError CONFIG_INVALID if `isolation` names a module that is not there. */
export function requireModules(modules: readonly FoundModule[], isolation: Readonly<Record<string, Isolation>>): void {
  const names = modules.map(({ module }) => module);
  for (const name of Object.keys(isolation)) {
    if (!names.includes(name))
      throw new RelayError('CONFIG_INVALID', `isolation: there is no module '${clean(name)}' in use${suggest(name, names)}`);
  }
}

/** Modules, by where they run. */
export type ByIsolation = Readonly<Record<Isolation, readonly FoundModule[]>>;

/** The modules by where they run; one whose source does not say runs where it ran `before`. */
export async function byIsolation(
  modules: readonly FoundModule[],
  isolation: Readonly<Record<string, Isolation>>,
  before: ByIsolation = { inline: [], child: [] },
): Promise<ByIsolation> {
  const sorted: Record<Isolation, FoundModule[]> = { inline: [], child: [] };
  for (const found of modules) {
    const was = (['child', 'inline'] as const).find((where) => before[where].some(({ module }) => module === found.module));
    sorted[isolation[found.module] ?? (await declaredIsolation(found, was)) ?? was ?? 'inline'].push(found);
  }
  return sorted;
}

/**
 * What the decorator says; undefined if there is none: a file that is empty, cut short or cannot be read says nothing, and loading it
 * reports why.
 */
async function declaredIsolation({ root, path }: FoundModule, was: Isolation | undefined): Promise<Isolation | undefined> {
  const source = await readFile(join(root, path), 'utf8').catch(() => '');
  const declared = isolationIn(source);
  // To move it ends what runs, so a version that cannot run is refused where the one before runs.
  if (declared === undefined || was === undefined || declared === was) return declared;
  return (await isSyntaxSound(source, path)) ? declared : undefined;
}

function isolationIn(source: string): Isolation | undefined {
  // Most files say nothing of it: a search is all that they cost.
  if (!source.includes('isolation')) return DECORATED.test(source) ? 'inline' : undefined;
  const code = source.replace(COMMENTS, '');
  if (!DECORATED.test(code)) return undefined;
  return DECLARED.test(code) ? 'child' : 'inline';
}
