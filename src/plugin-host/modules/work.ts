/** Work that a class offers: one unit from its payload to its results. */
import { open, readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { RelayError } from '../../core/core.ts';
import type { Log } from '../../core/core.ts';
import type { WorkContext, WorkOptions, WorkPayload, WorkResult } from '../../plugin/internal.ts';
import { describeValue } from '../../values/values.ts';
import type { Dict } from '../../values/values.ts';
import { isWorkResult } from '../hosted/hosted.ts';
import type { WorkOrder, WorkSource } from '../hosted/hosted.ts';
import { iterate } from './generators.ts';
import type { GeneratorMethod } from './generators.ts';
import { loggerOf } from './logger-of.ts';
import { issueText } from './plugin-config.ts';

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
  { name: type, options, run }: GeneratorMethod<WorkOptions>,
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
  try {
    for await (const result of iterate(type, Reflect.apply(run, instance, [payload, context]), signal)) {
      if (!isWorkResult(result))
        throw new RelayError('APPLICATION', `${type}: it yielded ${describeValue(result)}, expected a struct, a text or bytes`);
      yield result;
    }
  } finally {
    // A method that did not read its payload to the end leaves a file open.
    if (payload instanceof Readable) payload.destroy();
  }
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
