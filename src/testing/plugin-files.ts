/** Writes classes of a test into a plugins directory, so that the plugin host finds, names and loads them like any other plugin. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describeValue } from '../values/values.ts';

/** A class decorated with `@Satellite`. */
export type SatelliteClass = abstract new (...args: never[]) => object;

/** A list of classes, whose modules are `test.<class>`; or classes by module name, `{ 'ham.spam': Spam }`. */
export type TestPlugins = readonly SatelliteClass[] | Readonly<Record<string, SatelliteClass | readonly SatelliteClass[]>>;

/** A satellite that must run. */
export interface ExpectedSatellite {
  readonly module: string;
  readonly className: string;
}

/** A temporary directory of one relay. */
export interface TestDirectory {
  readonly path: string;
  /** The plugins directory, with the modules of `satellites`. */
  readonly pluginsDir: string;
  readonly satellites: readonly ExpectedSatellite[];
  remove(): Promise<void>;
}

// A registered symbol, by which the files find the classes, whichever copy of the package and whichever test runner loaded this module.
const CLASSES = Symbol.for('co2-relay.testing.classes');
const shared = globalThis as { [CLASSES]?: Map<string, readonly SatelliteClass[]> };
const MODULE = /^[A-Za-z_]\w*\.[A-Za-z_]\w*$/;

/** Creates the directory. Rejects with a TypeError that says what is not a valid plugin. */
export async function makeTestDirectory(plugins: TestPlugins): Promise<TestDirectory> {
  const modules = modulesOf(plugins);
  const path = await realpath(await mkdtemp(join(tmpdir(), 'co2-test-relay-')));
  const pluginsDir = join(path, 'plugins');
  const classesById = (shared[CLASSES] ??= new Map());
  const ids = new Set<string>();
  await mkdir(pluginsDir);
  for (const [module, classes] of modules) {
    const id = randomUUID();
    ids.add(id);
    classesById.set(id, classes);
    const file = join(pluginsDir, `${module.replace('.', '/')}.mjs`);
    await mkdir(dirname(file), { recursive: true });
    const names = classes.map((_, index) => `class${index}`).join(', ');
    await writeFile(file, `export const [${names}] = globalThis[Symbol.for('${CLASSES.description ?? ''}')].get('${id}');\n`);
  }
  return {
    ...{ path, pluginsDir },
    satellites: [...modules].flatMap(([module, classes]) => classes.map(({ name }) => ({ module, className: name }))),
    remove: async () => {
      for (const id of ids) classesById.delete(id);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** The classes of each module. */
function modulesOf(plugins: TestPlugins): ReadonlyMap<string, readonly SatelliteClass[]> {
  const entries = isList(plugins) ? plugins.map((one) => [`test.${lowerFirst(nameOf(one))}`, one] as const) : Object.entries(plugins);
  const modules = new Map<string, readonly SatelliteClass[]>();
  for (const [module, one] of entries) {
    if (!MODULE.test(module)) throw new TypeError(`plugins: '${module}' is not a module name: expected package.module, such as 'ham.spam'`);
    if (modules.has(module)) throw new TypeError(`plugins: two classes are named ${module}; name their modules: { 'ham.spam': Spam, ... }`);
    const classes = isList(one) ? one : [one];
    classes.forEach(nameOf);
    modules.set(module, classes);
  }
  return modules;
}

function isList<T>(value: T | readonly T[] | Readonly<Record<string, unknown>>): value is readonly T[] {
  return Array.isArray(value);
}

/** The name of a class. Throws a TypeError for anything else, which a test in plain JavaScript may pass. */
function nameOf(one: unknown): string {
  if (typeof one !== 'function') throw new TypeError(`plugins: found ${describeValue(one)}, expected a class`);
  if (!/^[A-Za-z_]\w*$/.test(one.name)) throw new TypeError('plugins: a class has no name; give it one');
  return one.name;
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
