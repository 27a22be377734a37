/** Validates the answers of a program to `plugin.get_version` and `plugin.describe`. Pure. */
import { RelayError, clean } from '../../core/core.ts';
import { isDict } from '../../values/values.ts';
import type { AccessClass } from '../../core/core.ts';
import type { Dict, Value } from '../../values/values.ts';
import { FRAME_OVERFLOWS, WORK_PAYLOADS } from '../../plugin/internal.ts';
import { COMMAND_TIMEOUT_MS, DATASOURCE_DEFAULTS } from '../hosted/hosted.ts';
import type { HostedController, HostedDatasource, HostedEndpointType, HostedWork, StatedVersion } from '../hosted/hosted.ts';

/** A method of a program. */
export interface DescribedMethod {
  /** The full name, such as `ham.add`. */
  readonly name: string;
  readonly help: string;
  /** `[[result, ...params]]`; undefined if the program does not declare it. */
  readonly signature: readonly (readonly string[])[] | undefined;
  /** The names of the parameters, in order; `''`, or none, where the program does not say. */
  readonly paramNames: readonly string[];
  readonly access: AccessClass;
}

/** Work that a program offers. */
export type DescribedWork = Omit<HostedWork, 'run' | 'isReady'>;

/** A datasource or a controller of a program. */
export type DescribedDatasource = Omit<HostedDatasource, 'record' | 'readiness'>;
export type DescribedController = Omit<HostedController, 'command' | 'readiness'>;
/** A watcher or a reactor that a program offers. */
export type DescribedEndpoint = Pick<HostedEndpointType, 'role' | 'type' | 'help'>;

/** One of several satellites in a process. */
export interface DescribedSatellite {
  /** The full name, such as `ham.spam.Spam`. */
  readonly name: string;
  /** True if it receives messages. */
  readonly receives: boolean;
}

export interface Description {
  readonly capabilities: ReadonlySet<string>;
  /** True if it must get each message at least once, also after it was away. */
  readonly isDurable: boolean;
  /** What it reads beyond plain XML-RPC; undefined if it does not say. */
  readonly reads: ReadonlySet<string> | undefined;
  readonly methods: readonly DescribedMethod[];
  readonly work: readonly DescribedWork[];
  readonly datasources: readonly DescribedDatasource[];
  readonly controllers: readonly DescribedController[];
  readonly endpoints: readonly DescribedEndpoint[];
  /** Empty if the program is a single satellite. */
  readonly satellites: readonly DescribedSatellite[];
}

/** The description of a program that does not describe itself. */
export const UNDESCRIBED: Description = {
  ...{ capabilities: new Set(['receive']), isDurable: false, reads: undefined },
  ...{ methods: [], work: [], datasources: [], controllers: [], endpoints: [], satellites: [] },
};

// More than any program needs; these limits protect the relay's memory and its pages.
const MAX_LISTED = 1_000;
const MAX_CAPABILITIES = 100;
const MAX_HELP = 10_000;
const MAX_WAYS = 20;
const MAX_PARAMS = 100;
const METHOD = /^\w[\w.]{0,199}$/;
const WORK = /^\w[\w.]{0,199}:[A-Za-z_]\w{0,99}$/;
const PARAM = /^(?:[A-Za-z_$][\w$]{0,63})?$/;
const TYPE = /^[\w.:]{1,40}$/;
const GRANTABLE: readonly string[] = ['message', 'call', 'admin'];

/** Validates the answer to `plugin.describe`. Throws a RelayError PLUGIN_REFUSED that says what is wrong. */
export function readDescription(plugin: string, answer: Value): Description {
  if (!isDict(answer)) throw new RelayError('PLUGIN_REFUSED', 'plugin.describe: its answer is not a struct');
  const { reads, durable = false } = answer;
  const listed = <Item>(member: string, read: (plugin: string, item: Value, place: string) => Item): Item[] =>
    arrayIn(answer, member).map((item, index) => read(plugin, item, `${member}[${index}]`));
  const methods = listed('methods', readMethod);
  const names = methods.map(({ name }) => name);
  const repeated = names.find((name, index) => names.indexOf(name) !== index);
  if (repeated !== undefined) throw new RelayError('PLUGIN_REFUSED', `plugin.describe: it has two methods ${repeated}`);
  if (typeof durable !== 'boolean') throw new RelayError('PLUGIN_REFUSED', 'plugin.describe: durable is neither true nor false');
  return {
    ...{
      capabilities: textsIn(answer, 'capabilities'),
      isDurable: durable,
      reads: reads === undefined ? undefined : textsIn(answer, 'reads'),
    },
    ...{ methods, work: listed('work', readWork), satellites: listed('satellites', readSatellite) },
    ...{ datasources: listed('datasources', readDatasource), controllers: listed('controllers', readController) },
    endpoints: [...listed('watchers', endpointReader('watcher')), ...listed('reactors', endpointReader('reactor'))],
  };
}

function arrayIn(answer: Dict, member: string): readonly Value[] {
  const { [member]: list = [] } = answer;
  if (Array.isArray(list) && list.length <= MAX_LISTED) return list as readonly Value[];
  throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${member} is not an array of at most ${MAX_LISTED}`);
}

function textsIn(answer: Dict, member: string): ReadonlySet<string> {
  const { [member]: list = [] } = answer;
  if (isTexts(list) && list.length <= MAX_CAPABILITIES) return new Set(list);
  throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${member} is not an array of at most ${MAX_CAPABILITIES} texts`);
}

/** Reads `{type, help?, payload?, max_concurrent?, timeout_ms?, takes_params?}`. */
function readWork(plugin: string, work: Value, place: string): DescribedWork {
  const refuse = (reason: string): never => {
    throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${place}: ${reason}`);
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
function readDatasource(plugin: string, datasource: Value, place: string): DescribedDatasource {
  const { name, help, count } = named(plugin, datasource, place);
  const { overflow = DATASOURCE_DEFAULTS.overflow } = datasource as Dict;
  const policy = FRAME_OVERFLOWS.find((one) => one === overflow);
  if (policy === undefined)
    throw new RelayError(
      'PLUGIN_REFUSED',
      `plugin.describe: ${place}: the overflow of ${name} is not one of ${FRAME_OVERFLOWS.join(', ')}`,
    );
  return {
    ...{ name, help, overflow: policy, timeoutMs: count('timeout_ms') },
    maxTimeouts: count('max_timeouts') ?? DATASOURCE_DEFAULTS.maxTimeouts,
    maxFrames: count('max_frames') ?? DATASOURCE_DEFAULTS.maxFrames,
    maxBytes: count('max_bytes') ?? DATASOURCE_DEFAULTS.maxBytes,
  };
}

/** Reads `{name, help?, timeout_ms?, max_concurrent?}`. */
function readController(plugin: string, controller: Value, place: string): DescribedController {
  const { name, help, count } = named(plugin, controller, place);
  return { name, help, timeoutMs: count('timeout_ms') ?? COMMAND_TIMEOUT_MS, maxConcurrent: count('max_concurrent') };
}

/** Reads `{name, help?}` and a function for members that are numbers from 1 on. */
function named(plugin: string, value: Value, place: string) {
  const refuse = (reason: string): never => {
    throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${place}: ${reason}`);
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

function readSatellite(plugin: string, satellite: Value, place: string): DescribedSatellite {
  const { name, receives = true } = isDict(satellite) ? satellite : {};
  if (typeof name !== 'string' || !name.startsWith(`${plugin}.`) || !METHOD.test(name) || typeof receives !== 'boolean')
    throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${place} is not a struct with a name that begins with '${plugin}.'`);
  return { name, receives };
}

/** Reads `{type, help?}`. */
function endpointReader(role: DescribedEndpoint['role']) {
  return (plugin: string, endpoint: Value, place: string): DescribedEndpoint => {
    const { type, help = '' } = isDict(endpoint) ? endpoint : {};
    if (typeof type !== 'string' || !type.startsWith(`${plugin}:`) || !WORK.test(type))
      throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${place} is not a struct whose type is '${plugin}:' and a name`);
    if (typeof help !== 'string' || help.length > MAX_HELP)
      throw new RelayError('PLUGIN_REFUSED', `plugin.describe: the help of ${type} is not a text of at most ${MAX_HELP} characters`);
    return { role, type, help: shown(help) };
  };
}

function readMethod(plugin: string, method: Value, place: string): DescribedMethod {
  const refuse = (reason: string): never => {
    throw new RelayError('PLUGIN_REFUSED', `plugin.describe: ${place}: ${reason}`);
  };
  if (!isDict(method)) return refuse('it is not a struct');
  const { name, help = '', signature, params = [], access = 'call' } = method;
  if (typeof name !== 'string' || !METHOD.test(name)) return refuse('its name is not a method name');
  if (!name.startsWith(`${plugin}.`) || name.length === plugin.length + 1)
    return refuse(`the name ${clean(name)} does not begin with '${plugin}.'`);
  if (typeof help !== 'string' || help.length > MAX_HELP)
    return refuse(`the help of ${name} is not a text of at most ${MAX_HELP} characters`);
  if (typeof access !== 'string' || !GRANTABLE.includes(access))
    return refuse(`the access of ${name} is not one of ${GRANTABLE.join(', ')}`);
  if (signature !== undefined && !isSignature(signature)) return refuse(`the signature of ${name} is not an array of arrays of type names`);
  if (!isTexts(params) || params.length > MAX_PARAMS || !params.every((param) => PARAM.test(param)))
    return refuse(`the params of ${name} are not an array of at most ${MAX_PARAMS} names of letters, digits and "_"`);
  const ways = signature?.length === 0 ? undefined : signature;
  return { name, help: shown(help), signature: ways, paramNames: params, access: access as AccessClass };
}

/** Validates the answer to `plugin.get_version`. Throws a RelayError PLUGIN_REFUSED that says what is wrong. */
export function readVersion(answer: Value): StatedVersion {
  if (!isDict(answer)) throw new RelayError('PLUGIN_REFUSED', 'plugin.get_version: its answer is not a struct');
  const { version, requires } = answer;
  if (version !== undefined && (typeof version !== 'string' || version.length > 100))
    throw new RelayError('PLUGIN_REFUSED', 'plugin.get_version: version is not a text of at most 100 characters');
  if (requires !== undefined && (typeof requires !== 'string' || requires.length > 200))
    throw new RelayError('PLUGIN_REFUSED', 'plugin.get_version: requires is not a text of at most 200 characters');
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
