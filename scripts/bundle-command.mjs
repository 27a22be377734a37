// @ts-check
/**
 * Joins the built files of the `co2` command that client commands import into a few: opening a hundred small modules takes Node longer
 * than a call. Runs after the compiler; everything else of the command is imported on demand, and stays as it is.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const dist = fileURLToPath(new URL('../dist', import.meta.url));
const out = resolve(dist, 'cli');
// What client commands use. Other directories keep state that must exist once in a process, or find files beside themselves.
// Small packages that client commands need at once.
const NAMES = ['commander', 'fastest-levenshtein', 'undici'];
const PACKAGES = new RegExp(`^(?:${NAMES.join('|')})(?:/|$)`);
const JOINED = ['cli', 'client', 'core', 'json', 'message', 'state', 'values', 'xmlrpc'];

/** Keeps imports of other directories of ours as imports. @type {import('esbuild').Plugin} */
const others = {
  name: 'others',
  setup: (bundle) => {
    bundle.onResolve({ filter: /^[^./]/ }, ({ path, importer }) => {
      const isOurs = importer.startsWith(dist);
      return !isOurs || importer === '' || PACKAGES.test(path) ? undefined : { external: true };
    });
    bundle.onResolve({ filter: /^\./ }, ({ path, importer }) => {
      if (!importer.startsWith(dist)) return undefined;
      const file = resolve(dirname(importer), path);
      const [directory = ''] = relative(dist, file).split(/[\\/]/);
      if (JOINED.includes(directory)) return undefined;
      return { path: `./${relative(out, file).replaceAll('\\', '/')}`, external: true };
    });
  },
};

await build({
  entryPoints: { co2: resolve(out, 'main.js') },
  outdir: out,
  chunkNames: 'co2-[name]-[hash]',
  absWorkingDir: fileURLToPath(new URL('..', import.meta.url)),
  // Paths of packages become names in the output, which must not depend on where they are.
  preserveSymlinks: true,
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  // CommonJS in an ES module.
  banner: { js: "import { createRequire as co2Require } from 'node:module'; const require = co2Require(import.meta.url);" },
  logLevel: 'warning',
  plugins: [others],
});

// Their licences ask for their text beside every copy.
const licences = NAMES.map((name) => {
  const text = readFileSync(new URL(`../node_modules/${name}/LICENSE${name.startsWith('fastest') ? '.md' : ''}`, import.meta.url), 'utf8');
  return `${name}\n\n${text}`;
});
writeFileSync(resolve(out, 'LICENSES.txt'), licences.join('\n\n'));
