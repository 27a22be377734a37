/** Refuses what the options of a decorator cannot mean, when the class is made: plugins run without a look at their types, so nothing else would say it. */
import { suggest } from '../message/message.ts';
import type { ExposedOptions, SatelliteOptions } from './metadata.ts';

// Objects, so that an option that is added to the type has to be added here.
const SATELLITE: Readonly<Record<keyof SatelliteOptions, true>> = { config: true };
const EXPOSED: Readonly<Record<keyof ExposedOptions, true>> = { params: true, returns: true, schema: true, access: true };

/** Throws a TypeError that names class and option. */
export function checkSatelliteOptions(className: string, options: unknown): void {
  const where = `@Satellite on ${className}`;
  requireKnown(where, options, Object.keys(SATELLITE));
  requireSchema(where, 'config', (options as SatelliteOptions).config);
}

/** Throws a TypeError that names class, method and option. */
export function checkExposedOptions(method: string, options: unknown): void {
  const where = `@Exposed on ${method}`;
  requireKnown(where, options, Object.keys(EXPOSED));
  const { params, returns, schema } = options as Record<keyof ExposedOptions, unknown>;
  if (params !== undefined && !Array.isArray(params))
    throw new TypeError(`${where}: params: found ${kindOf(params)}, expected a list of types, one for each parameter: ['int', 'string']`);
  if (returns !== undefined && typeof returns !== 'string')
    throw new TypeError(`${where}: returns: found ${kindOf(returns)}, expected the name of one type: 'int'`);
  requireSchema(where, 'schema', schema);
}

function requireKnown(where: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new TypeError(`${where}: found ${kindOf(options)}, expected an object of options (${known.join(', ')})`);
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  if (unknown !== undefined) throw new TypeError(`${where}: there is no option "${unknown}"${suggest(unknown, known)}`);
}

function requireSchema(where: string, option: string, schema: unknown): void {
  if (schema === undefined) return;
  const isObject = (typeof schema === 'object' && schema !== null) || typeof schema === 'function';
  if (!isObject || !('~standard' in schema))
    throw new TypeError(`${where}: ${option}: found ${kindOf(schema)}, expected a schema, such as zod's: z.object({ ... })`);
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`;
}
