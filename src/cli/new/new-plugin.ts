/** What `co2 new plugin` is asked for: a name becomes a plugin, by the rules of a plugins directory. Pure. */
import { RelayError, clean } from '../../core/core.ts';

/** A plugin that is to be written. */
export interface NewPlugin {
  /** `ham/spam`: the file without its extension, below the directory. */
  readonly path: string;
  /** `ham.spam` */
  readonly module: string;
  /** `Spam` */
  readonly className: string;
}

/** One file of it. */
export interface NewFile {
  /** Below the directory, with `/`. */
  readonly path: string;
  readonly source: string;
  readonly isExecutable?: boolean;
}

/** Says which module, if any, the last of these files (paths in a plugins directory) would be, and why it would be none. */
export type NameFiles = (files: readonly string[]) => readonly {
  readonly file: string;
  readonly module: string;
  readonly refused?: string | undefined;
}[];

/**
 * The plugin of this name beside the files that are in the directory, by the rules of a plugins directory; the one that it would replace does not count.
 * Throws a RelayError CONFIG_INVALID that says why the name cannot be one.
 */
export function planPlugin(name: string, there: readonly string[], nameFiles: NameFiles): NewPlugin {
  const path = name.replace(/\.(?:m?[tj]s|py|pl|rb|c|sh)$/, '');
  const refuse = (reason: string): never => {
    throw new RelayError('CONFIG_INVALID', `'${clean(name, 80)}' cannot be a plugin: ${reason}`);
  };
  if (!/^[^/\\]+\/[^/\\]+$/.test(path)) {
    const parts = path.split(/[./\\]+/).filter((part) => part !== '');
    const meant = parts.length === 2 ? parts.join('/') : 'ham/spam';
    return refuse(`give it as package/module, such as ${clean(meant, 80)}`);
  }
  const file = `${path}.ts`;
  const named = nameFiles([...there.filter((other) => other !== file), file]).find((one) => one.file === file);
  if (!named) return refuse('what begins with "_" or ends with ".test" or ".config" is a helper, and node_modules is npm\'s');
  if (named.refused !== undefined) return refuse(named.refused);
  return { path, module: named.module, className: classNameOf(path) };
}

/** `ham/spam` -> `spam`. */
export function fileOf(path: string): string {
  return path.slice(path.indexOf('/') + 1);
}

/** A text that was written for ham/spam, for this plugin: the module's name, and that of its files, in their places. */
export function named(text: string, { path, module }: NewPlugin): string {
  return text.replace(/\bham\.spam\b|\bspam(?=\b|_test)/g, (found) => (found === 'spam' ? fileOf(path) : module));
}

/** `ham/my-spam` -> `MySpam`. */
function classNameOf(path: string): string {
  const words = fileOf(path).split(/[-_]+/);
  const name = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return /^[A-Za-z]/.test(name) ? name : `Plugin${name}`;
}
