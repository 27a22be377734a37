// @ts-check
/**
 * Joins the built modules and most packages that they use into a few files in dist/bundle: opening and linking 700 modules takes Node
 * longer than everything else that a relay does at its start. Runs after the compiler. Every entry point shares the same chunks, so each
 * module exists once in a process, and keeps its path by a file that re-exports it.
 */
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { globSync } from 'glob';

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = resolve(root, 'dist');
const out = resolve(dist, 'bundle');

/** What starts a process or is imported by its path: the command, the public modules, a child, and the loader with its hooks thread. */
const ENTRIES = {
  co2: 'cli/main.js',
  plugin: 'plugin/plugin.js',
  config: 'config/define-config.js',
  client: 'client/client.js',
  relay: 'create-relay.js',
  testing: 'testing/testing.js',
  child: 'plugin-host/children/runner.js',
  loader: 'loader/loader.mjs',
  hooks: 'loader/hooks.mjs',
};

/** Packages with state or classes that plugins share with the relay when they import them. */
const SHARED = ['reflect-metadata', 'tsyringe'];
/** Finds its binary beside its files. */
const NATIVE = ['classic-level'];
/** Parts of packages that we never reach: Fastify's logger, schemas and injection. They would be a quarter of the bundle. */
const UNREACHED = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler', 'light-my-request', 'pino'];
/** log4js loads these with its own appenders, while we write files ourselves; they bring three more packages. */
const UNUSED_APPENDERS = /^\.\/(?:file|dateFile|fileSync)$/;

/** @type {import('esbuild').Plugin} */
const packages = {
  name: 'packages',
  setup: (bundle) => {
    const outside = new RegExp(`^(?:${[...SHARED, ...NATIVE, ...UNREACHED].join('|')})(?:/|$)`);
    bundle.onResolve({ filter: outside }, ({ path, namespace }) =>
      SHARED.includes(path) && namespace !== 'required' ? { path, namespace: 'required' } : { external: true },
    );
    // Node would parse a CommonJS package for its exports if it were imported: 20 ms for these.
    bundle.onLoad({ filter: /./, namespace: 'required' }, ({ path }) => ({ contents: `module.exports = require('${path}');` }));
    bundle.onResolve({ filter: UNUSED_APPENDERS }, ({ path, importer }) =>
      /[\\/]log4js[\\/]lib[\\/]appenders[\\/]index\.js$/.test(importer) ? { path, namespace: 'empty' } : undefined,
    );
    bundle.onLoad({ filter: /./, namespace: 'empty' }, () => ({ contents: '' }));
  },
};

/** A module finds files beside itself as if it were still at its own place. @type {import('esbuild').Plugin} */
const places = {
  name: 'places',
  setup: (bundle) => {
    bundle.onLoad({ filter: /\.m?js$/ }, ({ path }) => {
      if (!path.startsWith(dist)) return undefined;
      const contents = readFileSync(path, 'utf8');
      if (!contents.includes('import.meta.url')) return undefined;
      const place = JSON.stringify(relative(out, path).replaceAll('\\', '/'));
      return { contents: `const co2Module = new URL(${place}, co2File).href;\n${contents}` };
    });
  },
};

const { metafile } = await build({
  entryPoints: Object.fromEntries(Object.entries(ENTRIES).map(([name, file]) => [name, resolve(dist, file)])),
  outdir: out,
  chunkNames: '[name]-[hash]',
  absWorkingDir: root,
  // Paths of packages become names in the output, which must not depend on where they are.
  preserveSymlinks: true,
  bundle: true,
  splitting: true,
  // Lines stay short, so that a stack names a place that can be found.
  minifySyntax: true,
  legalComments: 'none',
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  define: { 'import.meta.url': 'co2Module' },
  banner: {
    js: [
      "import { createRequire as co2Require } from 'node:module';",
      'const co2File = import.meta.url;',
      // For CommonJS in an ES module.
      'const require = co2Require(co2File);',
    ].join('\n'),
  },
  metafile: true,
  logLevel: 'warning',
  plugins: [packages, places],
});

// The modules themselves are in the bundle now; their declarations stay, and so do the loader's sources, which identify its output.
for (const file of globSync('**/*.js', { cwd: dist, ignore: 'bundle/**' })) rmSync(join(dist, file));
for (const [name, file] of Object.entries(ENTRIES)) {
  const path = relative(dirname(resolve(dist, file)), resolve(out, `${name}.js`)).replaceAll('\\', '/');
  if (name !== 'co2') writeFileSync(resolve(dist, file), `export * from '${path.startsWith('.') ? path : `./${path}`}';\n`);
}

// Their licences ask for their text beside every copy.
const directories = new Set(Object.keys(metafile.inputs).flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0] ?? []));
const licences = [...directories].sort().map((directory) => {
  const file = readdirSync(resolve(root, directory)).find((name) => /^licen[cs]e/i.test(name));
  const manifest = /** @type {unknown} */ (JSON.parse(readFileSync(resolve(root, directory, 'package.json'), 'utf8')));
  const { name, version, license } = /** @type {Record<string, string>} */ (manifest);
  return `${name} ${version} (${license})\n\n${file === undefined ? '' : readFileSync(resolve(root, directory, file), 'utf8')}`;
});
writeFileSync(resolve(out, 'LICENSES.txt'), licences.join('\n\n'));
