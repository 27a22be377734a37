/** The languages in which `co2 new plugin` writes. */
import type { NewFile, NewPlugin } from './new-plugin.ts';
import { pythonFiles } from './python.ts';
import { typescriptFiles } from './typescript.ts';

/** How one language is written. */
export interface Language {
  /** Directory where nobody says another: `plugins`, what the configuration calls so; `programs`, that name beside it. */
  readonly place: 'plugins' | 'programs';
  /** The plugin itself first, then its test. */
  readonly files: (plugin: NewPlugin) => readonly [NewFile, NewFile];
}

export const LANGUAGES: Readonly<Record<string, Language>> = {
  typescript: { place: 'plugins', files: typescriptFiles },
  python: { place: 'programs', files: pythonFiles },
};
