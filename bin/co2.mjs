#!/usr/bin/env node
// @ts-check
/** The `co2` command: runs the sources in a checkout, the built files in a package. Written so that an old Node can read it. */
import fs from 'fs';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
const source = new URL('../src/cli/main.ts', import.meta.url);
const built = new URL('../dist/bundle/co2.js', import.meta.url);

if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`co2-relay needs Node 20.19 or newer; this is Node ${process.versions.node}.`);
  process.exitCode = 1;
} else if (process.argv.length === 3 && ['-v', '--version'].includes(process.argv[2] ?? '')) {
  // Scripts ask for it often, and it needs nothing of the command.
  const manifest = /** @type {unknown} */ (JSON.parse(fs.readFileSync(new URL('../package.json', import.meta.url), 'utf8')));
  process.stdout.write(`${/** @type {{ version: string }} */ (manifest).version}\n`);
} else if (fs.existsSync(source)) {
  void import('../src/loader/from-source.mjs').then(() => import(source.href));
} else {
  void import(built.href);
}
