/** Classes of a test as a plugins directory, so that the plugin host finds, names and loads them like anybody's. */
import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describeValue } from '../values/values.ts';

/** A class decorated with `@Satellite`. */
export type SatelliteClass = abstract new (...args: never[]) => object;

/** Classes, of modules `test.<class>`; or by the names of their modules, `{ 'ham.spam': Spam }`. */
export type TestPlugins = readonly SatelliteClass[] | Readonly<Record<string, SatelliteClass | readonly SatelliteClass[]>>;

/** A satellite that has to run: its full name, and the class. */
export interface Expected {
  readonly module: string;
  readonly className: string;
}

/** A temporary directory of one relay. */
export interface Place {
  readonly path: string;
  /** A directory of plugins, which holds `satellites`. */
  readonly pluginsDir: string;
  readonly satellites: readonly Expected[];
  remove(): Promise<void>;
}

// A registered symbol, so that the files find the classes whichever copy of the package and whichever test runner loaded this one.
const HANDED = Symbol.for('co2-relay.testing.classes');
const shared = globalThis as { [HANDED]?: Map<string, readonly SatelliteClass[]> };
const MODULE = /^[A-Za-z_]\w*\.[A-Za-z_]\w*$/;

/** Makes the directory. Throws a TypeError that says what cannot be a plugin. */
export async function makePlace(plugins: TestPlugins): Promise<Place> {
  const modules = modulesOf(plugins);
  const path = await realpath(await mkdtemp(join(tmpdir(), 'co2-test-relay-')));
  const pluginsDir = join(path, 'plugins');
  const handed = (shared[HANDED] ??= new Map());
  const ids = new Set<string>();
  await mkdir(pluginsDir);
  for (const [module, classes] of modules) {
    const id = randomUUID();
    ids.add(id);
    handed.set(id, classes);
    const file = join(pluginsDir, `${module.replace('.', '/')}.mjs`);
    await mkdir(dirname(file), { recursive: true });
    const names = classes.map((_, index) => `class${index}`).join(', ');
    await writeFile(file, `export const [${names}] = globalThis[Symbol.for('${HANDED.description ?? ''}')].get('${id}');\n`);
  }
  return {
    ...{ path, pluginsDir },
    satellites: [...modules].flatMap(([module, classes]) => classes.map(({ name }) => ({ module, className: name }))),
    remove: async () => {
      for (const id of ids) handed.delete(id);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** The classes of each module. */
function modulesOf(plugins: TestPlugins): ReadonlyMap<string, readonly SatelliteClass[]> {
  const entries = isList(plugins) ? plugins.map((one) => [`test.${lowerFirst(nameOf(one))}`, one] as const) : Object.entries(plugins);
  const modules = new Map<string, readonly SatelliteClass[]>();
  for (const [module, one] of entries) {
    if (!MODULE.test(module)) throw new TypeError(`plugins: '${module}' is no name of a module; package.module, such as 'ham.spam'`);
    if (modules.has(module)) throw new TypeError(`plugins: two classes are ${module}; name their modules: { 'ham.spam': Spam, ... }`);
    const classes = isList(one) ? one : [one];
    classes.forEach(nameOf);
    modules.set(module, classes);
  }
  return modules;
}

function isList<T>(value: T | readonly T[] | Readonly<Record<string, unknown>>): value is readonly T[] {
  return Array.isArray(value);
}

/** The class's name; in a test that is no TypeScript anything may stand here. */
function nameOf(one: unknown): string {
  if (typeof one !== 'function') throw new TypeError(`plugins: found ${describeValue(one)}, expected a class`);
  if (!/^[A-Za-z_]\w*$/.test(one.name)) throw new TypeError('plugins: a class has no name; give it one');
  return one.name;
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
