/** Finds the relay plugins named in config.ts: each is a file, or a module of the plugins directory or of an npm package. */
import { realpath } from 'node:fs/promises';
import { basename, dirname, extname } from 'node:path';
import { clean, RelayError, suggest } from '../../core/core.ts';
import { EXTENSIONS } from '../hosted/hosted.ts';
import type { ModuleLocation } from '../hosted/hosted.ts';
import { findModules, isFileName, whyUnsafe } from '../modules/modules.ts';
import type { FindOptions, Found } from '../modules/modules.ts';
import { entryOf } from './options.ts';
import type { RelayPluginOptions } from './options.ts';

/** A file with relay plugins, and the configuration for their `setup`. */
export interface NamedRelayPlugin extends ModuleLocation {
  /** `ham.filter`, or the name of the file without its extension. */
  readonly module: string;
  /** A description for people. */
  readonly file: string;
  readonly config: unknown;
}

/**
 * Finds all entries of `relayPlugins`, in the same order. Rejects with a RelayError CONFIG_INVALID if one does not exist or must not be
 * executed.
 */
export async function findRelayPlugins(options: RelayPluginOptions & FindOptions): Promise<NamedRelayPlugin[]> {
  let found: Found | undefined;
  const named: NamedRelayPlugin[] = [];
  for (const { use, config = {} } of options.relayPlugins.map(entryOf)) {
    if (isFileName(use)) named.push({ ...(await fileOf(use)), config });
    else {
      found ??= await findModules(options);
      named.push({ ...moduleOf(use, found), config });
    }
  }
  return named;
}

async function fileOf(use: string): Promise<Omit<NamedRelayPlugin, 'config'>> {
  const shown = clean(use, 300);
  const extension = extname(use).slice(1);
  if (!EXTENSIONS.some((known) => known === extension))
    throw refused(`${shown} must end with ${EXTENSIONS.map((known) => `.${known}`).join(', ')}`);
  // Symbolic links are allowed, because the operator chose them; their target is checked.
  const path = await realpath(use).catch(() => {
    throw refused(`there is no file ${shown}`);
  });
  const [root, name] = [dirname(path), basename(path)];
  const unsafe = await whyUnsafe(root, name, 'its folder');
  if (unsafe !== undefined) throw refused(`${shown} is not loaded: ${unsafe}`);
  const module = basename(use, `.${extension}`).replace(/\W/g, '_');
  return { module, file: name, root, rootName: '', path: name };
}

function moduleOf(use: string, { modules, problems }: Found): Omit<NamedRelayPlugin, 'config'> {
  const module = modules.find((one) => one.module === use);
  if (module) return module;
  const problem = problems.find((one) => one.module === use);
  if (problem) throw refused(`${problem.file} is not loaded: ${problem.reason}`);
  const known = modules.map((one) => one.module);
  const remedy = /[/\\]|\.\w?[jt]s$/.test(use) ? '; a file is named by its path: ./filters/key.ts' : suggest(use, known);
  throw refused(`there is no module "${clean(use, 60)}"${remedy}`);
}

function refused(text: string): RelayError {
  return new RelayError('CONFIG_INVALID', `relayPlugins: ${text}`, { data: { option: 'relayPlugins' } });
}
