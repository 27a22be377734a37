/** Turns classes that an embedding program passes to its relay into modules like those loaded from files. */
import { RelayError } from '../../core/core.ts';
import { describeValue } from '../../values/values.ts';
import { satelliteOptionsOf } from '../../plugin/internal.ts';
import type { AnyClass } from '../../plugin/internal.ts';
import { nameDeclared } from '../hosted/hosted.ts';
import type { Packaged } from './packages.ts';

/** A class decorated with `@Satellite`. */
export type SatelliteClass = AnyClass;

/** Classes by module name, `{ 'ham.spam': Spam }`, or a list of classes whose modules are named `app.<class>`, such as `app.spam`. */
export type SatelliteClasses = readonly SatelliteClass[] | Readonly<Record<string, SatelliteClass | readonly SatelliteClass[]>>;

const LIST_PACKAGE = 'app';
const MODULE = /^([A-Za-z_]\w*)\.([A-Za-z_]\w*)$/;

/** Returns the modules of these classes. Throws a RelayError CONFIG_INVALID that names the invalid class or module name. */
export function modulesOfClasses(classes: SatelliteClasses): Packaged['modules'] {
  const entries = isList(classes)
    ? classes.map((one) => [`${LIST_PACKAGE}.${lowerFirst(checked(one).name)}`, one] as const)
    : Object.entries(classes);
  return entries.map(([module, one]) => {
    const [, folder, stem] = MODULE.exec(module) ?? [];
    if (folder === undefined || stem === undefined) throw refusal(`'${module}' is not the name of a module, such as 'ham.spam'`);
    const exported = (isList(one) ? one : [one]).map(checked);
    const file = `${module} (${exported.map(({ name }) => name).join(', ')})`;
    return {
      ...nameDeclared(file, folder, stem, { package: 'package name', module: 'the name of the module' }),
      // Locations in stack traces are shown relative to this directory.
      ...{ root: process.cwd(), rootName: '', path: '' },
      ...{ stated: {}, exports: Object.fromEntries(exported.map((target) => [target.name, target])) },
    };
  });
}

function checked(one: unknown): SatelliteClass {
  if (typeof one !== 'function') throw refusal(`found ${describeValue(one)}, expected a class decorated with @Satellite`);
  if (satelliteOptionsOf(one) === undefined) throw refusal(`${one.name || 'a class without a name'} is not decorated with @Satellite`);
  if (!/^[A-Za-z_]\w*$/.test(one.name)) throw refusal('a class has no name; give it one');
  if (satelliteOptionsOf(one)?.isolation === 'child')
    throw refusal(`${one.name} has isolation: 'child', but only a file can be loaded in another process`);
  return one as SatelliteClass;
}

function refusal(reason: string): RelayError {
  return new RelayError('CONFIG_INVALID', `satellites: ${reason}`);
}

function isList<T>(value: T | readonly T[] | Readonly<Record<string, unknown>>): value is readonly T[] {
  return Array.isArray(value);
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
