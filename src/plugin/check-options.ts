/** Checks the options of decorators. Plugins run without type checks, so nothing else would report invalid ones. */
// Single files of semver, since every plugin loads this module.
import valid from 'semver/functions/valid.js';
import validRange from 'semver/ranges/valid.js';
import { clean, suggest } from '../core/core.ts';
import { describeValue, showValue } from '../values/values.ts';
import { XML_RPC_TYPES } from './metadata.ts';
import type { ExposedOptions, SatelliteOptions } from './metadata.ts';
import { FRAME_OVERFLOWS } from './recording.ts';
import type { ControllerOptions, DatasourceOptions } from './recording.ts';
import type { RelayPluginOptions } from './relay-plugin.ts';
import type { EndpointOptions } from './service.ts';
import { WORK_PAYLOADS } from './work.ts';
import type { WorkOptions } from './work.ts';

// Objects rather than arrays, so that TypeScript demands a new option here, too.
const SATELLITE: Readonly<Record<keyof SatelliteOptions, true>> = {
  config: true,
  isolation: true,
  version: true,
  requires: true,
  inbox: true,
  durable: true,
};
const RELAY_PLUGIN: Readonly<Record<keyof RelayPluginOptions, true>> = { order: true, carries: true, config: true };
const EXPOSED: Readonly<Record<keyof ExposedOptions, true>> = { params: true, returns: true, schema: true, access: true };
const WORK: Readonly<Record<keyof WorkOptions, true>> = { payload: true, maxConcurrent: true, timeoutMs: true, params: true };
const DATASOURCE: Readonly<Record<keyof DatasourceOptions, true>> = {
  timeoutMs: true,
  maxTimeouts: true,
  overflow: true,
  maxFrames: true,
  maxBytes: true,
};
const CONTROLLER: Readonly<Record<keyof ControllerOptions, true>> = { timeoutMs: true, maxConcurrent: true };
const ENDPOINT: Readonly<Record<keyof EndpointOptions, true>> = { config: true };

const ISOLATIONS: readonly string[] = ['inline', 'child'];
const GRANTABLE: readonly string[] = ['message', 'call', 'admin'];

/** Throws the error for the decorator of this class or method. Undefined if the options are valid. */
export type Refusal = ((where: string) => never) | undefined;

/** Must be called where the options are written: the stack of the error begins at the call. */
export function refusalOfSatellite(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(SATELLITE)) ?? whyWrongSatellite(options as SatelliteOptions));
}

/** As {@link refusalOfSatellite}. */
export function refusalOfRelayPlugin(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(RELAY_PLUGIN)) ?? whyNoSchema('config', (options as RelayPluginOptions).config));
}

/** As {@link refusalOfSatellite}. */
export function refusalOfExposed(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(EXPOSED)) ?? whyWrong(options as Record<keyof ExposedOptions, unknown>));
}

/** As {@link refusalOfSatellite}. */
export function refusalOfWork(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(WORK)) ?? whyWrongWork(options as Record<keyof WorkOptions, unknown>));
}

/** As {@link refusalOfSatellite}. */
export function refusalOfDatasource(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(DATASOURCE)) ?? whyWrongDatasource(options as Record<keyof DatasourceOptions, unknown>));
}

/** As {@link refusalOfSatellite}. */
export function refusalOfController(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(CONTROLLER)) ?? whyWrongController(options as Record<keyof ControllerOptions, unknown>));
}

/** As {@link refusalOfSatellite}, for `@Watcher` and `@Reactor`. */
export function refusalOfEndpoint(options: unknown): Refusal {
  return refusal(whyUnknown(options, Object.keys(ENDPOINT)) ?? whyNoSchema('config', (options as EndpointOptions).config));
}

function refusal(reason: string | undefined): Refusal {
  if (reason === undefined) return undefined;
  const error = new TypeError(reason);
  return (where) => {
    error.message = `${where}: ${reason}`;
    throw error;
  };
}

function whyWrongSatellite(options: Partial<Record<keyof SatelliteOptions, unknown>>): string | undefined {
  const { config, isolation, version, requires, inbox, durable } = options;
  if (isolation !== undefined && !ISOLATIONS.includes(isolation as string))
    return `isolation: found ${showValue(isolation)}, expected 'inline' or 'child'`;
  if (version !== undefined && (typeof version !== 'string' || valid(version) === null))
    return `version: found ${showValue(version)}, expected a version such as '1.2.0'`;
  if (requires !== undefined && (typeof requires !== 'string' || validRange(requires) === null))
    return `requires: found ${showValue(requires)}, expected a range of versions of the relay such as '^0.1.0'`;
  if (durable !== undefined && typeof durable !== 'boolean') return `durable: found ${showValue(durable)}, expected true or false`;
  if (durable === true && inbox !== undefined) return 'a durable satellite has its queue on the disk: give durable or inbox, not both';
  return whyNoSchema('config', config);
}

function whyWrong({ params, returns, schema, access }: Record<keyof ExposedOptions, unknown>): string | undefined {
  if (params !== undefined && !Array.isArray(params))
    return `params: found ${describeValue(params)}, expected a list of types, one for each parameter: ['int', 'string']`;
  if (returns !== undefined && typeof returns !== 'string')
    return `returns: found ${describeValue(returns)}, expected the name of one type: 'int'`;
  for (const type of [...((params ?? []) as readonly unknown[]), returns ?? 'any']) {
    if (!(XML_RPC_TYPES as readonly unknown[]).includes(type)) return `there is no type ${quoted(type, XML_RPC_TYPES)}`;
  }
  if (params !== undefined && schema !== undefined) return 'declare params or schema, not both';
  return whyWrongAccess(access) ?? whyNoSchema('schema', schema);
}

function whyWrongWork({ payload, maxConcurrent, timeoutMs, params }: Record<keyof WorkOptions, unknown>): string | undefined {
  if (payload !== undefined && !(WORK_PAYLOADS as readonly unknown[]).includes(payload))
    return `payload: found ${showValue(payload)}, expected one of ${WORK_PAYLOADS.join(', ')}`;
  return whyNoCount('maxConcurrent', maxConcurrent, 'units') ?? whyNoMs('timeoutMs', timeoutMs) ?? whyNoSchema('params', params);
}

function whyWrongDatasource(options: Record<keyof DatasourceOptions, unknown>): string | undefined {
  const { timeoutMs, maxTimeouts, overflow, maxFrames, maxBytes } = options;
  if (overflow !== undefined && !(FRAME_OVERFLOWS as readonly unknown[]).includes(overflow))
    return `overflow: found ${showValue(overflow)}, expected one of ${FRAME_OVERFLOWS.join(', ')}`;
  return (
    whyNoMs('timeoutMs', timeoutMs) ??
    whyNoCount('maxTimeouts', maxTimeouts, 'timeouts') ??
    whyNoCount('maxFrames', maxFrames, 'frames') ??
    whyNoCount('maxBytes', maxBytes, 'bytes')
  );
}

function whyWrongController({ timeoutMs, maxConcurrent }: Record<keyof ControllerOptions, unknown>): string | undefined {
  return whyNoMs('timeoutMs', timeoutMs) ?? whyNoCount('maxConcurrent', maxConcurrent, 'commands');
}

function whyNoCount(option: string, value: unknown, what: string): string | undefined {
  if (value === undefined || (Number.isSafeInteger(value) && (value as number) >= 1)) return undefined;
  return `${option}: found ${showValue(value)}, expected a number of ${what} from 1 on`;
}

function whyNoMs(option: string, value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'number' && value > 0)) return undefined;
  return `${option}: found ${showValue(value)}, expected ms, or Infinity`;
}

function whyWrongAccess(access: unknown): string | undefined {
  if (access === undefined || GRANTABLE.includes(access as string)) return undefined;
  if (access === 'read') return "access 'read' would open it to anyone, which only the operator may do (access.anonymous)";
  return `there is no access ${quoted(access, GRANTABLE)}`;
}

function quoted(name: unknown, known: readonly string[]): string {
  return typeof name === 'string' ? `"${clean(name, 40)}"${suggest(name, known)}` : describeValue(name);
}

function whyUnknown(options: unknown, known: readonly string[]): string | undefined {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    return `found ${describeValue(options)}, expected an object of options (${known.join(', ')})`;
  const unknown = Object.keys(options).find((name) => !known.includes(name));
  return unknown === undefined ? undefined : `there is no option "${unknown}"${suggest(unknown, known)}`;
}

function whyNoSchema(option: string, schema: unknown): string | undefined {
  if (schema === undefined) return undefined;
  const isObject = (typeof schema === 'object' && schema !== null) || typeof schema === 'function';
  if (isObject && '~standard' in schema) return undefined;
  return `${option}: found ${describeValue(schema)}, expected a schema, such as zod's: z.object({ ... })`;
}
