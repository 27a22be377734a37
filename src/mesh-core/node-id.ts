/** Ids of nodes: the base32 form of the first 160 bits of the hash of a public key, so that a key proves its id. */

/** Bytes of an id. */
export const ID_BYTES = 20;

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567';
const VALUES = new Map(Array.from(ALPHABET, (letter, value) => [letter, value]));
// Ids are converted for every message; a mesh has few of them, and each is kept once.
const MAX_KEPT = 4096;
const texts = new Map<string, string>();
const buffers = new Map<string, Buffer>();

/** The text of an id: 32 letters and digits. `bytes` are at least 20, of which the first 20 count. */
export function idText(bytes: Buffer): string {
  const key = bytes.toString('latin1', 0, ID_BYTES);
  const kept = texts.get(key);
  if (kept !== undefined) return kept;
  let [text, value, bits] = ['', 0, 0];
  for (let at = 0; at < ID_BYTES; at++) {
    value = ((value << 8) | (bytes[at] ?? 0)) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += ALPHABET[(value >> (bits - 5)) & 31] ?? '';
  }
  if (texts.size >= MAX_KEPT) texts.clear();
  texts.set(key, text);
  return text;
}

/** The bytes of an id that {@link idText} made. */
export function idBytes(id: string): Buffer {
  const kept = buffers.get(id);
  if (kept) return kept;
  const bytes = Buffer.alloc(ID_BYTES);
  let [at, value, bits] = [0, 0, 0];
  for (const letter of id) {
    value = ((value << 5) | (VALUES.get(letter) ?? 0)) & 0xfff;
    bits += 5;
    if (bits < 8) continue;
    bits -= 8;
    bytes[at++] = (value >> bits) & 0xff;
  }
  if (buffers.size >= MAX_KEPT) buffers.clear();
  buffers.set(id, bytes);
  return bytes;
}
