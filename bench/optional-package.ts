/** Finds packages that are no dependencies and that a benchmark uses if somebody has installed them. */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

/** The variable with the directory in which `npm install` put the packages; without it, they are looked up from the benchmarks. */
export const PACKAGES_VARIABLE = 'BENCH_PACKAGES';

/** The URL to import a package from; undefined if it is not installed. */
export function optionalPackage(name: string): string | undefined {
  const directory = process.env[PACKAGES_VARIABLE];
  try {
    const from = directory === undefined ? import.meta.url : join(resolve(directory), 'package.json');
    return pathToFileURL(createRequire(from).resolve(name)).href;
  } catch {
    return undefined;
  }
}
