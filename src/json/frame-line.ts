/** Frames of recordings as lines of JSON, in which texts can be read by people. */
import { parseMediaType } from '../core/core.ts';

/** What a line says of a frame. */
export interface LineFrame {
  readonly source: string;
  /** A media type. */
  readonly type: string;
  /** ms since 1970. */
  readonly timestamp: number;
  readonly payload: Buffer;
}

/**
 * A frame as one line of JSON without its line end: `{"source","type","timestamp","payload"}` if the payload is text, else with `base64` in
 * place of `payload`. {@link readFrameLine} reads it.
 */
export function frameLine({ source, type, timestamp, payload }: LineFrame): string {
  const text = payloadText(type, payload);
  return JSON.stringify({ source, type, timestamp, ...(text === undefined ? { base64: payload.toString('base64') } : { payload: text }) });
}

/** The frame that {@link frameLine} wrote; undefined if the line is damaged. */
export function readFrameLine(line: string): LineFrame | undefined {
  try {
    const { source, type, timestamp, payload, base64 } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    if (typeof source !== 'string' || typeof type !== 'string' || typeof timestamp !== 'number') return undefined;
    if (typeof payload === 'string') return { source, type, timestamp, payload: Buffer.from(payload) };
    return typeof base64 === 'string' ? { source, type, timestamp, payload: Buffer.from(base64, 'base64') } : undefined;
  } catch {
    return undefined;
  }
}

/** The payload as text; undefined if its media type is not that of a text, or it is not UTF-8. */
export function payloadText(type: string, payload: Buffer): string | undefined {
  const { type: name = '' } = parseMediaType(type) ?? {};
  if (!name.startsWith('text/') && !/^application\/(?:json|xml|x-ndjson|[\w.-]+\+(?:json|xml))$/.test(name)) return undefined;
  const text = payload.toString();
  return payload.length === Buffer.byteLength(text) && !text.includes('\uFFFD') ? text : undefined;
}
