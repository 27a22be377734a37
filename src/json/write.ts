/** Any JavaScript value to JSON: at once, or in turns. */
import { inSlices } from '../core/core.ts';
import { JsonWriter } from './value-writer.ts';

// 64 Mi characters: eight bodies of the default size. Protects the heap.
const MAX_CHARS = 64 * 1024 * 1024;

/**
 * The JSON of `value`, whose place is called `label` in errors: `result.data[3]: …`. Throws a RelayError INTERNAL for what cannot be
 * written, for
 * more than `maxChars` characters (64 Mi unless told) and for more than 1,000,000 values.
 */
export function writeJson(value: unknown, label: string, maxChars = MAX_CHARS): string {
  const writer = new JsonWriter(value, label, maxChars);
  while (!writer.write()) continue;
  return Buffer.concat(writer.parts()).toString();
}

/**
 * What {@link writeJson} writes as parts in UTF-8, in turns of a few milliseconds. What its owner changes in `value` before the promise is
 * settled may be
 * in them, or make an error of them.
 */
export async function writeJsonInTurns(value: unknown, label: string, maxChars = MAX_CHARS): Promise<readonly Buffer[]> {
  const writer = new JsonWriter(value, label, maxChars);
  await inSlices(() => writer.write());
  return writer.parts();
}
