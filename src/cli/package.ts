/** How this very command is called, for lines that people copy, and where it runs from. */
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

// In a checkout; the published package has no sources.
const FROM_SOURCE = new URL('../loader/from-source.mjs', import.meta.url);
const LOADER = new URL('../loader/loader.mjs', import.meta.url);

/** `npx co2`, or in a checkout `node bin/co2.mjs`. */
export function commandName(): string {
  if (!existsSync(FROM_SOURCE)) return 'npx co2';
  return `node ${relative(process.cwd(), fileURLToPath(new URL('../../bin/co2.mjs', import.meta.url)))}`;
}

/** What `node --import` takes so that a process reads TypeScript, and finds the package by its name. */
export function loaderImport(): string {
  if (existsSync(FROM_SOURCE)) return FROM_SOURCE.href;
  return `data:text/javascript,${encodeURIComponent(`import { registerLoader } from ${JSON.stringify(LOADER.href)}; registerLoader();`)}`;
}

export const VERSION = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
