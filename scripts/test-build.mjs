// @ts-check
/**
 * Compiles the package and its tests once for a run of the suite, so that each process opens some fifty files instead of four hundred. The
 * result is a directory with the package as users install it, which the tests run, and with the compiled tests beside it.
 */
import { createHash, randomUUID } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { openCache } from '../src/loader/cache.mjs';
import { compileTypeScript, compilerId } from '../src/loader/compile.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
// Below node_modules, so that packages are found from there.
const builds = join(root, 'node_modules/.cache/co2-tests');
const cache = openCache(join(root, 'node_modules/.cache/co2-relay'));

/** What the package contains besides dist/, as far as it is used at run time. */
const PACKAGE_FILES = ['package.json', 'bin', 'plugins', 'templates', 'web'];
/** Packages that plugins and tests import themselves, so that each must exist once in a process. */
const SHARED = ['log4js', 'reflect-metadata', 'tsyringe', 'zod'];
/**
 * `prom-client` is a CommonJS package behind `import()`: Node finds the names that it exports, the bundler does not. `classic-level` finds
 * its binary beside its files.
 */
const UNBUNDLED = [...SHARED, 'prom-client', 'classic-level'];
/** A build that has not been used for so long is deleted. */
const MAX_UNUSED_MS = 2 * 60 * 60 * 1000;

/** @typedef {{ exports: Record<string, string | { default: string }>, dependencies: Record<string, string> }} Manifest */
/** @type {unknown} */
const json = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const manifest = /** @type {Manifest} */ (json);
const bundled = Object.keys(manifest.dependencies).filter((name) => !UNBUNDLED.includes(name));

/**
 * Builds what the sources now are, unless that exists already.
 * @returns {Promise<string>} The directory, relative to the project.
 */
export async function buildTests() {
  const sources = [...PACKAGE_FILES, 'package-lock.json', 'src', 'test', 'scripts/test-build.mjs'].flatMap(filesBelow);
  const hash = createHash('sha256');
  for (const file of sources)
    hash
      .update(`${file}\0`)
      .update(readFileSync(join(root, file)))
      .update('\0');
  const directory = join(builds, hash.digest('hex').slice(0, 16));
  if (existsSync(directory)) {
    utimesSync(directory, new Date(), new Date());
  } else {
    removeUnused();
    await make(
      directory,
      sources.filter((file) => /^test\/.*\.test\.ts$/.test(file)),
    );
  }
  return relative(root, directory);
}

/** Paths relative to the project. @param {string} path */
function filesBelow(path) {
  if (!statSync(join(root, path)).isDirectory()) return [path];
  return readdirSync(join(root, path), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** Several runs, and parts of one process, may build at the same time, so each builds in a directory of its own. @param {string} directory @param {string[]} tests */
async function make(directory, tests) {
  const temporary = `${directory}.${randomUUID()}`;
  try {
    await compile(directory, temporary, tests);
    cpSync(join(root, 'src/loader'), join(temporary, 'dist/loader'), { recursive: true });
    for (const path of PACKAGE_FILES) cpSync(join(root, path), join(temporary, path), { recursive: true });
    try {
      renameSync(temporary, directory);
    } catch (error) {
      // Another build of the same sources was first.
      if (!existsSync(directory)) throw error;
    }
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** @param {string} directory @param {string} outdir @param {string[]} tests */
async function compile(directory, outdir, tests) {
  const publicModules = Object.values(manifest.exports).flatMap((target) => (typeof target === 'string' ? [] : [target.default]));
  await build({
    entryPoints: Object.fromEntries([
      ...publicModules.map((target) => [target.slice('./'.length, -'.js'.length), sourceOf(target)]),
      ['dist/bundle/co2', join(root, 'src/cli/main.ts')],
      ['dist/plugin-host/children/runner', join(root, 'src/plugin-host/children/runner.ts')],
      ...tests.map((file) => [file.slice(0, -'.ts'.length), join(root, file)]),
    ]),
    outdir,
    chunkNames: 'dist/chunk-[hash]',
    absWorkingDir: root,
    bundle: true,
    splitting: true,
    // The names of classes are the names of satellites.
    keepNames: true,
    format: 'esm',
    platform: 'node',
    target: 'node20.19',
    sourcemap: true,
    sourcesContent: false,
    legalComments: 'none',
    logLevel: 'warning',
    // CommonJS in an ES module.
    banner: { js: "import { createRequire as co2Require } from 'node:module'; const require = co2Require(import.meta.url);" },
    define: { 'import.meta.url': 'co2Url', 'import.meta.filename': 'co2Filename', 'import.meta.dirname': 'co2Dirname' },
    plugins: [resolver(directory), compiler(directory)],
  });
}

/** The source of a public module. @param {string} target Its path in the package. */
function sourceOf(target) {
  return join(root, target.replace(/^\.\/dist\/(.*)\.js$/, 'src/$1.ts'));
}

/** @param {string} directory @returns {import('esbuild').Plugin} */
const resolver = (directory) => ({
  name: 'resolver',
  setup: (bundle) => {
    bundle.onResolve({ filter: /^[^./]/ }, ({ path, kind, importer }) => {
      if (kind === 'entry-point') return undefined;
      const target = path.startsWith('co2-relay') ? manifest.exports[path.replace('co2-relay', '.')] : undefined;
      if (typeof target === 'object') return { path: sourceOf(target.default) };
      const isBundled = bundled.some((name) => path === name || path.startsWith(`${name}/`)) || importer.includes('/node_modules/');
      return isBundled ? undefined : { path, external: true };
    });
    // The loader stays as it is, since Node starts its hooks by the name of their file.
    bundle.onResolve({ filter: /\/loader\/[^/]+\.mjs$/ }, ({ path, resolveDir }) => ({
      path: join(directory, 'dist', relative(join(root, 'src'), join(resolveDir, path))),
      external: true,
    }));
  },
});

/** @param {string} directory @returns {import('esbuild').Plugin} */
const compiler = (directory) => ({
  name: 'compiler',
  setup: (bundle) => {
    bundle.onLoad({ filter: /\.(?:ts|m?js)$/ }, ({ path: file }) => {
      const source = readFileSync(file, 'utf8');
      if (!file.endsWith('.ts'))
        return source.includes('import.meta.') ? { contents: `${locations(directory, file)} ${source}` } : undefined;
      const key = cache.key(compilerId(), 'test', file, source);
      const known = cache.get(key);
      const code = known ?? compileTypeScript(source, file);
      if (known === undefined) cache.put(key, code);
      return { contents: code.includes('import.meta.') ? `${locations(directory, file)} ${code}` : code, loader: 'js' };
    });
  },
});

/**
 * Declares what `import.meta` says: modules of the package are in the package, and tests are where their fixtures are.
 * @param {string} directory
 * @param {string} file
 */
function locations(directory, file) {
  const path = relative(root, file);
  const place = path.startsWith('src/') ? join(directory, path.replace(/^src\/(.*)\.ts$/, 'dist/$1.js')) : file;
  const values = { co2Url: pathToFileURL(place).href, co2Filename: place, co2Dirname: dirname(place) };
  return Object.entries(values)
    .map(([name, value]) => `const ${name} = ${JSON.stringify(value)};`)
    .join(' ');
}

function removeUnused() {
  mkdirSync(builds, { recursive: true });
  for (const name of readdirSync(builds)) {
    const path = join(builds, name);
    const usedAt = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (Date.now() - usedAt > MAX_UNUSED_MS) rmSync(path, { recursive: true, force: true });
  }
}
