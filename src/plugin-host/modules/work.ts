/** The work that a class offers: its methods with `@Work`, and one unit from its payload to its results. */
import { open, readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { RelayError, unlessAborted } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import { methodsWith } from '../../plugin/internal.ts';
import type { AnyClass, WorkContext, WorkOptions, WorkPayload, WorkResult } from '../../plugin/internal.ts';
import { describeValue } from '../../values/values.ts';
import type { Dict } from '../../values/values.ts';
import { isWorkResult } from '../hosted/hosted.ts';
import type { WorkOrder, WorkSource } from '../hosted/hosted.ts';
import { loggerOf } from './logger-of.ts';
import { issueText } from './plugin-config.ts';

/** A method with `@Work`. */
export interface WorkMethod {
  /** `render` */
  readonly method: string;
  /** `ham.spam:render` */
  readonly type: string;
  readonly options: WorkOptions;
  readonly run: (this: object, payload: WorkPayload, context: WorkContext) => unknown;
}

/** The work that `target` itself offers. Throws an Error that names the method whose declaration is invalid. */
export function workMethods(target: AnyClass, module: string): readonly WorkMethod[] {
  const exposed = methodsWith('Exposed', target);
  return [...methodsWith('Work', target)].map(([method, options]) => {
    const run: unknown = Object.getOwnPropertyDescriptor(target.prototype, method)?.value;
    const refuse = (reason: string): never => {
      throw new Error(`@Work on ${target.name}.${method}: ${reason}`);
    };
    if (typeof run !== 'function') return refuse('only methods can be work');
    if (!/^[A-Za-z_]\w*$/.test(method)) refuse('a method name has letters, digits and "_", and does not begin with a digit');
    if (exposed.has(method)) refuse('it is @Exposed, too; a call has one answer and work many results, so make two methods');
    return { method, type: `${module}:${method}`, options, run: run as WorkMethod['run'] };
  });
}

/** What a unit gets from its plugin. */
export interface WorkSurroundings {
  /** As `setup` got it. */
  readonly config: unknown;
  /** The log of the plugin. */
  readonly log: Log;
}

// A larger payload would have to be held in memory whole; the other forms have no limit.
const MAX_PAYLOAD_BYTES = 64 * 1024 * 1024;

/** Runs one unit on `instance`; see `HostedWork.run`. */
export async function* runWork(
  { type, options, run }: WorkMethod,
  instance: object,
  order: WorkOrder,
  surroundings: WorkSurroundings,
): AsyncGenerator<WorkResult, void, undefined> {
  const { signal } = order;
  const params = await checkedParams(type, options, order.params);
  const payload = await payloadOf(type, options, order.payload);
  const context: WorkContext<unknown> = {
    ...{ unit: order.unit, params, config: surroundings.config, submitter: order.submitter, signal },
    logger: loggerOf(order.unit, surroundings.log),
  };
  const results: unknown = Reflect.apply(run, instance, [payload, context]);
  const iterator = iteratorOf(type, results);
  try {
    for (;;) {
      const next = await unlessAborted(signal, async () => iterator.next());
      if (next.done === true) break;
      if (!isWorkResult(next.value))
        throw new RelayError('APPLICATION', `${type}: it yielded ${describeValue(next.value)}, expected a struct, a text or bytes`);
      yield next.value;
    }
  } finally {
    // Work that ignores its signal is left behind; nobody waits for it.
    void Promise.resolve(iterator.return?.(undefined)).catch(() => undefined);
    // A method that did not read its payload to the end leaves a file open.
    if (payload instanceof Readable) payload.destroy();
  }
}

/** An async generator, a generator, or a promise of one. */
function iteratorOf(type: string, results: unknown): AsyncIterator<unknown> | Iterator<unknown> {
  if (typeof results === 'object' && results !== null) {
    if (Symbol.asyncIterator in results) return (results as AsyncIterable<unknown>)[Symbol.asyncIterator]();
    if (Symbol.iterator in results) return (results as Iterable<unknown>)[Symbol.iterator]();
  }
  void Promise.resolve(results).catch(() => undefined);
  throw new RelayError('APPLICATION', `${type}: it returned ${describeValue(results)}, expected an async generator: async *name(...)`);
}

async function checkedParams(type: string, { params: schema }: WorkOptions, params: Dict): Promise<unknown> {
  if (!schema) return params;
  const result = await schema['~standard'].validate(params);
  if (!result.issues) return result.value;
  const reasons = result.issues
    .slice(0, 3)
    .map((issue) => issueText(issue, (path) => (path.length === 0 ? 'the parameters' : path.join('.'))));
  throw new RelayError('INVALID_PARAMS', `${type}: ${reasons.join('; ')}`);
}

async function payloadOf(type: string, { payload = 'bytes' }: WorkOptions, source: WorkSource): Promise<WorkPayload> {
  if ('bytes' in source) {
    const { bytes } = source;
    if (payload === 'bytes') return bytes;
    if (payload === 'stream') return Readable.from(bytes.length === 0 ? [] : [bytes]);
    throw new RelayError('INTERNAL', `${type} takes a file, and got bytes`);
  }
  const { path } = source;
  if (payload === 'file') return path;
  // Opened before the method begins, so that a missing file fails the unit with a clear reason.
  if (payload === 'stream') return (await open(path)).createReadStream();
  const { size } = await stat(path);
  if (size > MAX_PAYLOAD_BYTES) {
    const way = "it takes larger ones with payload: 'stream' or 'file'";
    throw new RelayError('LIMIT', `${type}: the payload has ${size} bytes (limit ${MAX_PAYLOAD_BYTES}); ${way}`);
  }
  return readFile(path);
}
