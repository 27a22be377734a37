/** Estimates the memory that a queued message takes, which is what the limits of queues count. */
import type { Dict, Value } from './value.ts';

// Measured in Node 20 with 40,000 small messages in a queue: the object, its buffer, its strings and the queue's entry.
const OVERHEAD_BYTES = 768;
// The header of a string. Each of its UTF-16 units takes up to two bytes.
const STRING_BYTES = 24;

/**
 * Bytes that a queued message takes: its encoded dict and an estimate of the overhead. The decoded view is not counted, since it can be
 * discarded at any time.
 */
export function heldBytes({ payload, via }: { readonly payload: Uint8Array; readonly via: readonly string[] }): number {
  let bytes = OVERHEAD_BYTES + payload.byteLength;
  for (const relay of via) bytes += STRING_BYTES + 2 * relay.length;
  return bytes;
}

// Measured likewise. A number is often stored in place, so only its slot is counted.
const SLOT_BYTES = 16;
const OBJECT_BYTES = 64;
const BUFFER_BYTES = 200;

/** Estimates the bytes that a decoded dict takes: an empty `<base64/>` takes ten times its bytes on the wire. */
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
