/** Validates the answers of a program to `plugin.get_version` and `plugin.describe`. Pure. */
import { clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { AccessClass } from '../../core/core.ts';
import type { Dict, Value } from '../../values/values.ts';
import { FRAME_OVERFLOWS, WORK_PAYLOADS } from '../../plugin/internal.ts';
import { COMMAND_TIMEOUT_MS, DATASOURCE_DEFAULTS } from '../hosted/hosted.ts';
import type { HostedController, HostedDatasource, HostedWork, StatedVersion } from '../hosted/hosted.ts';

/** A method of a program. */
export interface DescribedMethod {
  /** The full name, such as `ham.add`. */
  readonly name: string;
  readonly help: string;
  /** `[[result, ...params]]`; undefined if the program does not declare it. */
  readonly signature: readonly (readonly string[])[] | undefined;
  readonly access: AccessClass;
}

/** Work that a program offers. */
export type DescribedWork = Omit<HostedWork, 'run' | 'isReady'>;

/** A datasource or a controller of a program. */
export type DescribedDatasource = Omit<HostedDatasource, 'record' | 'readiness'>;
export type DescribedController = Omit<HostedController, 'command' | 'readiness'>;

/** One of several satellites in a process. */
export interface DescribedSatellite {
  /** The full name, such as `ham.spam.Spam`. */
  readonly name: string;
  /** True if it receives messages. */
  readonly receives: boolean;
}

export interface Description {
  readonly capabilities: ReadonlySet<string>;
  /** What it reads beyond plain XML-RPC; undefined if it does not say. */
  readonly reads: ReadonlySet<string> | undefined;
  readonly methods: readonly DescribedMethod[];
  readonly work: readonly DescribedWork[];
  readonly datasources: readonly DescribedDatasource[];
  readonly controllers: readonly DescribedController[];
  /** Empty if the program is a single satellite. */
  readonly satellites: readonly DescribedSatellite[];
}

/** The description of a program that does not describe itself. */
export const UNDESCRIBED: Description = {
  ...{ capabilities: new Set(['receive']), reads: undefined },
  ...{ methods: [], work: [], datasources: [], controllers: [], satellites: [] },
};

// More than any program needs; these limits protect the relay's memory and its pages.
const MAX_METHODS = 1_000;
const MAX_SATELLITES = 1_000;
const MAX_WORK = 1_000;
const MAX_RECORDINGS = 1_000;
const MAX_CAPABILITIES = 100;
const MAX_HELP = 10_000;
const MAX_WAYS = 20;
const MAX_PARAMS = 100;
const METHOD = /^\w[\w.]{0,199}$/;
const WORK = /^\w[\w.]{0,199}:[A-Za-z_]\w{0,99}$/;
const TYPE = /^[\w.:]{1,40}$/;
const GRANTABLE: readonly string[] = ['message', 'call', 'admin'];

/** Validates the answer to `plugin.describe`. Throws an Error that says what is wrong. */
export function readDescription(plugin: string, answer: Value): Description {
  if (!isDict(answer)) throw new Error('plugin.describe: its answer is not a struct');
  const { capabilities = [], reads } = answer;
  if (!isTexts(capabilities) || capabilities.length > MAX_CAPABILITIES)
    throw new Error(`plugin.describe: capabilities is not an array of at most ${MAX_CAPABILITIES} texts`);
  if (reads !== undefined && (!isTexts(reads) || reads.length > MAX_CAPABILITIES))
    throw new Error(`plugin.describe: reads is not an array of at most ${MAX_CAPABILITIES} texts`);
  const listed = <Item>(member: string, max: number, read: (value: Value, index: number) => Item): readonly Item[] => {
    const { [member]: values = [] } = answer;
    if (!Array.isArray(values) || values.length > max) throw new Error(`plugin.describe: ${member} is not an array of at most ${max}`);
    return values.map((value: Value, index) => read(value, index));
  };
  const methods = listed('methods', MAX_METHODS, (method, index) => readMethod(plugin, method, index));
  const names = methods.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new Error(`plugin.describe: it has two methods ${repeated}`);
  return {
    ...{ capabilities: new Set(capabilities), reads: reads && new Set(reads), methods },
    satellites: listed('satellites', MAX_SATELLITES, (satellite, index) => readSatellite(plugin, satellite, index)),
    work: listed('work', MAX_WORK, (one, index) => readWork(plugin, one, index)),
    datasources: listed('datasources', MAX_RECORDINGS, (one, index) => readDatasource(plugin, one, `datasources[${index}]`)),
    controllers: listed('controllers', MAX_RECORDINGS, (one, index) => readController(plugin, one, `controllers[${index}]`)),
  };
}

/** Reads `{type, help?, payload?, max_concurrent?, timeout_ms?, takes_params?}`. */
function readWork(plugin: string, work: Value, index: number): DescribedWork {
  const refuse = (reason: string): never => {
    throw new Error(`plugin.describe: work[${index}]: ${reason}`);
  };
  if (!isDict(work)) return refuse('expected a struct');
  const {
    type,
    help = '',
    payload = 'bytes',
    max_concurrent: maxConcurrent,
    timeout_ms: timeoutMs,
    takes_params: takesParams = false,
  } = work;
  if (typeof type !== 'string' || !type.startsWith(`${plugin}:`) || !WORK.test(type))
    return refuse(`its type must be '${plugin}:' and a name`);
  if (typeof help !== 'string' || help.length > MAX_HELP)
    return refuse(`the help of ${type} is not a text of at most ${MAX_HELP} characters`);
  const form = WORK_PAYLOADS.find((one) => one === payload);
  if (form === undefined) return refuse(`the payload of ${type} is not one of ${WORK_PAYLOADS.join(', ')}`);
  if (maxConcurrent !== undefined && !(Number.isSafeInteger(maxConcurrent) && (maxConcurrent as number) >= 1))
    return refuse(`max_concurrent of ${type} is not a number from 1 on`);
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0))
    return refuse(`timeout_ms of ${type} is not a number of ms`);
  if (typeof takesParams !== 'boolean') return refuse(`takes_params of ${type} is neither true nor false`);
  return { type, help: shown(help), payload: form, maxConcurrent: maxConcurrent as number | undefined, timeoutMs, takesParams };
}

/** Reads `{name, help?, timeout_ms?, max_timeouts?, overflow?, max_frames?, max_bytes?}`. */
function readDatasource(plugin: string, datasource: Value, where: string): DescribedDatasource {
  const { name, help, count } = named(plugin, datasource, where);
  const { overflow = DATASOURCE_DEFAULTS.overflow } = datasource as Dict;
  const policy = FRAME_OVERFLOWS.find((one) => one === overflow);
  if (policy === undefined)
    throw new Error(`plugin.describe: ${where}: the overflow of ${name} is not one of ${FRAME_OVERFLOWS.join(', ')}`);
  return {
    ...{ name, help, overflow: policy, timeoutMs: count('timeout_ms') },
    maxTimeouts: count('max_timeouts') ?? DATASOURCE_DEFAULTS.maxTimeouts,
    maxFrames: count('max_frames') ?? DATASOURCE_DEFAULTS.maxFrames,
    maxBytes: count('max_bytes') ?? DATASOURCE_DEFAULTS.maxBytes,
  };
}

/** Reads `{name, help?, timeout_ms?, max_concurrent?}`. */
function readController(plugin: string, controller: Value, where: string): DescribedController {
  const { name, help, count } = named(plugin, controller, where);
  return { name, help, timeoutMs: count('timeout_ms') ?? COMMAND_TIMEOUT_MS, maxConcurrent: count('max_concurrent') };
}

/** Reads `{name, help?}` and a function for members that are numbers from 1 on. */
function named(plugin: string, value: Value, where: string) {
  const refuse = (reason: string): never => {
    throw new Error(`plugin.describe: ${where}: ${reason}`);
  };
  if (!isDict(value)) return refuse('expected a struct');
  const { name, help = '' } = value;
  if (typeof name !== 'string' || !name.startsWith(`${plugin}:`) || !WORK.test(name))
    return refuse(`its name must be '${plugin}:' and a name`);
  if (typeof help !== 'string' || help.length > MAX_HELP)
    return refuse(`the help of ${name} is not a text of at most ${MAX_HELP} characters`);
  const count = (member: string): number | undefined => {
    const number = value[member];
    if (number === undefined || (Number.isSafeInteger(number) && (number as number) >= 1)) return number as number | undefined;
    return refuse(`${member} of ${name} is not a number from 1 on`);
  };
  return { name, help: shown(help), count };
}

function readSatellite(plugin: string, satellite: Value, index: number): DescribedSatellite {
  const { name, receives = true } = isDict(satellite) ? satellite : {};
  if (typeof name !== 'string' || !name.startsWith(`${plugin}.`) || !METHOD.test(name) || typeof receives !== 'boolean')
    throw new Error(`plugin.describe: satellites[${index}] is not a struct with a name that begins with '${plugin}.'`);
  return { name, receives };
}

function readMethod(plugin: string, method: Value, index: number): DescribedMethod {
  const refuse = (reason: string): never => {
    throw new Error(`plugin.describe: methods[${index}]: ${reason}`);
  };
  if (!isDict(method)) return refuse('it is not a struct');
  const { name, help = '', signature, access = 'call' } = method;
  if (typeof name !== 'string' || !METHOD.test(name)) return refuse('its name is not a method name');
  if (!name.startsWith(`${plugin}.`) || name.length === plugin.length + 1)
    return refuse(`the name ${clean(name)} does not begin with '${plugin}.'`);
  if (typeof help !== 'string' || help.length > MAX_HELP)
    return refuse(`the help of ${name} is not a text of at most ${MAX_HELP} characters`);
  if (typeof access !== 'string' || !GRANTABLE.includes(access))
    return refuse(`the access of ${name} is not one of ${GRANTABLE.join(', ')}`);
  if (signature !== undefined && !isSignature(signature)) return refuse(`the signature of ${name} is not an array of arrays of type names`);
  return { name, help: shown(help), signature: signature?.length === 0 ? undefined : signature, access: access as AccessClass };
}

/** Validates the answer to `plugin.get_version`. Throws an Error that says what is wrong. */
export function readVersion(answer: Value): StatedVersion {
  if (!isDict(answer)) throw new Error('plugin.get_version: its answer is not a struct');
  const { version, requires } = answer;
  if (version !== undefined && (typeof version !== 'string' || version.length > 100))
    throw new Error('plugin.get_version: version is not a text of at most 100 characters');
  if (requires !== undefined && (typeof requires !== 'string' || requires.length > 200))
    throw new Error('plugin.get_version: requires is not a text of at most 200 characters');
  return { version: version === undefined ? undefined : clean(version, 100), requires };
}

function isTexts(value: Value): value is readonly string[] {
  return Array.isArray(value) && value.every((one: Value) => typeof one === 'string' && one.length <= 100);
}

function isSignature(value: Value): value is readonly (readonly string[])[] {
  return (
    Array.isArray(value) &&
    value.length <= MAX_WAYS &&
    value.every((way: Value) => isTexts(way) && way.length >= 1 && way.length <= MAX_PARAMS && way.every((type) => TYPE.test(type)))
  );
}

/** Removes all control characters but line feeds, so that a page or a terminal can show the text. */
function shown(help: string): string {
  const lines = help.split('\n').map((line) => clean(line.replaceAll('\t', ' ').replace(/\r$/, ''), Infinity));
  return lines.join('\n');
}
