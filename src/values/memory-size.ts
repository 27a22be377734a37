/** What a queued message costs in memory, which is what the limits of queues count. */
import type { Dict, Value } from './value.ts';

// Measured in Node 20 with 40,000 small messages in a queue: the object, its buffer, its strings and the queue's entry.
const OVERHEAD_BYTES = 768;
// The header of a string, and up to two bytes for each of its characters.
const STRING_BYTES = 24;

/**
 * Bytes that a message holds while it waits: its encoded dict and an estimate of what is around it. The decoded view is not counted, since
 * it may be dropped at any time.
 */
export function heldBytes({ payload, via }: { readonly payload: Uint8Array; readonly via: readonly string[] }): number {
  let bytes = OVERHEAD_BYTES + payload.byteLength;
  for (const relay of via) bytes += STRING_BYTES + 2 * relay.length;
  return bytes;
}

// Measured as above. A number is often stored in place, so it is charged with its slot alone.
const SLOT_BYTES = 16;
const OBJECT_BYTES = 64;
const BUFFER_BYTES = 200;

/** Estimates the bytes that a decoded dict holds: an empty `<base64/>` takes ten times the bytes that it has on the wire. */
export function decodedBytes(dict: Dict): number {
  let bytes = 0;
  const open: Value[] = [dict];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    bytes += SLOT_BYTES;
    if (typeof value === 'string') bytes += STRING_BYTES + 2 * value.length;
    if (typeof value !== 'object' || value === null) continue;
    bytes += OBJECT_BYTES;
    if (ArrayBuffer.isView(value)) bytes += BUFFER_BYTES + value.byteLength;
    else if (Array.isArray(value)) for (const element of value as readonly Value[]) open.push(element);
    else if (!(value instanceof Date)) {
      for (const [name, member] of Object.entries(value as Dict)) {
        bytes += STRING_BYTES + name.length;
        open.push(member);
      }
    }
  }
  return bytes;
}
