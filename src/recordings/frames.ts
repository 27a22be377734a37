/** Frames in the forms in which they leave the relay: as values of calls, and as lines of JSON. */
import { clean, parseMediaType } from '../core/core.ts';
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

/**
 * A frame as one line of JSON without its line end: `{"source","type","timestamp","payload"}` if the payload is text, else with `base64` in
 * place of `payload`. {@link readFrameLine} reads it.
 */
export function frameLine({ source, type, timestamp, payload }: Frame): string {
  const text = isTextual(type) ? textOf(payload) : undefined;
  return JSON.stringify({ source, type, timestamp, ...(text === undefined ? { base64: payload.toString('base64') } : { payload: text }) });
}

/** The frame that {@link frameLine} wrote; undefined if the line is damaged. */
export function readFrameLine(line: string): Frame | undefined {
  try {
    const { source, type, timestamp, payload, base64 } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof source !== 'string' || typeof type !== 'string' || typeof timestamp !== 'number') return undefined;
    if (typeof payload === 'string') return { source, type, timestamp, payload: Buffer.from(payload) };
    return typeof base64 === 'string' ? { source, type, timestamp, payload: Buffer.from(base64, 'base64') } : undefined;
  } catch {
    return undefined;
  }
}

/** True for media types whose payloads are texts. */
function isTextual(type: string): boolean {
  const { type: name = '' } = parseMediaType(type) ?? {};
  return name.startsWith('text/') || /^application\/(?:json|xml|x-ndjson|[\w.-]+\+(?:json|xml))$/.test(name);
}

/** The payload as text; undefined if it is not UTF-8, so that reading the text would yield other bytes. */
function textOf(payload: Buffer): string | undefined {
  const text = payload.toString();
  return payload.length === Buffer.byteLength(text) && !text.includes('\uFFFD') ? text : undefined;
}

/** A name from outside, for an error. */
export function shownName(name: string): string {
  return `'${clean(name, 100)}'`;
}
