/** The package that this command belongs to: its version, how users invoke it, and its TypeScript loader. */
import { existsSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';

// Exists in a checkout only; the published package has no sources.
const FROM_SOURCE = new URL('../loader/from-source.mjs', import.meta.url);
const LOADER = new URL('../loader/loader.mjs', import.meta.url);

/** True in a checkout, false in the published package. */
export const isCheckout = existsSync(FROM_SOURCE);

/** How a user in `directory` invokes this command: `npx co2`, or in a checkout `node bin/co2.mjs`. */
export function commandName(directory = process.cwd()): string {
  if (!isCheckout) return 'npx co2';
  return `node ${relative(directory, fileURLToPath(new URL('../../bin/co2.mjs', import.meta.url)))}`;
}

/** The argument of `node --import` with which a process loads TypeScript and resolves this package by name. */
export function loaderImport(): string {
  if (isCheckout) return FROM_SOURCE.href;
  return `data:text/javascript,${encodeURIComponent(`import { registerLoader } from ${JSON.stringify(LOADER.href)}; registerLoader();`)}`;
}

/** The version, read here because importing the relay is slow. */
export const VERSION = (JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }).version;
