/** The languages in which `co2 new plugin` writes. */
import { posix } from 'node:path';
import { cFiles } from './c.ts';
import type { NewFile, NewPlugin } from './new-plugin.ts';
import { perlFiles } from './perl.ts';
import { pythonFiles } from './python.ts';
import { rubyFiles } from './ruby.ts';
import { shellFiles } from './shell.ts';
import { typescriptFiles } from './typescript.ts';

/** How one language is written. Commands are told with paths as the caller has them. */
export interface Language {
  /** Directory where nobody says another: `plugins`, what the configuration calls so; `programs`, that name beside it. */
  readonly place: 'plugins' | 'programs';
  /** The plugin itself first, then its test, then what else they need. */
  readonly files: (plugin: NewPlugin) => readonly NewFile[];
  /** Debian's packages without which it does not run. */
  readonly packages: readonly string[];
  /** The command that runs its test. */
  readonly test: (file: string, co2: string) => string;
  /** What has to be compiled before a relay can run it: by which command, and to which file. Default: nothing. */
  readonly build?: (file: string) => { readonly command: string; readonly exec: string };
}

export const LANGUAGES: Readonly<Record<string, Language>> = {
  typescript: { place: 'plugins', files: typescriptFiles, packages: [], test: (file, co2) => `${co2} test ${file}` },
  python: { place: 'programs', files: pythonFiles, packages: ['python3'], test: (file) => `python3 ${file}` },
  perl: { place: 'programs', files: perlFiles, packages: ['perl', 'librpc-xml-perl'], test: (file) => `prove ${file}` },
  ruby: { place: 'programs', files: rubyFiles, packages: ['ruby', 'ruby-xmlrpc', 'ruby-minitest'], test: (file) => `ruby ${file}` },
  c: {
    place: 'programs',
    files: cFiles,
    packages: ['gcc', 'libc6-dev', 'make', 'libxmlrpc-core-c3-dev'],
    test: (file) => `make -C ${posix.dirname(file)} test`,
    build: (file) => ({ command: `make -C ${posix.dirname(file)}`, exec: file.replace(/\.c$/, '') }),
  },
  sh: { place: 'programs', files: shellFiles, packages: ['curl'], test: (file) => `sh ${file}` },
};
