/** Frames as values of calls, and the memory that they take. */
import type { Frame } from '../plugin-host/plugin-host.ts';
import { Double } from '../values/values.ts';
import type { Sendable } from '../values/values.ts';

/** The memory that a frame takes. */
export function bytesOfFrame({ payload, source, type }: Frame): number {
  return payload.length + 2 * (source.length + type.length) + 200;
}

/** A frame as a struct. Its time is a double, since it exceeds 32 bits. */
export function frameOnWire({ source, type, timestamp, payload }: Frame): Readonly<Record<string, Sendable>> {
  return { source, type, timestamp: new Double(timestamp), payload };
}
