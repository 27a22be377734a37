/** The bytes that are signed or hashed: a label and fields, each with its length, so that no two lists have the same bytes. */

/** `label`, a zero byte, and each field after its length in four bytes. Texts are UTF-8. */
export function encodeFields(label: string, fields: readonly (string | number | Uint8Array)[]): Buffer {
  const parts: Buffer[] = [Buffer.from(`${label}\0`)];
  for (const field of fields) {
    const bytes = typeof field === 'object' ? Buffer.from(field.buffer, field.byteOffset, field.byteLength) : Buffer.from(String(field));
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    parts.push(length, bytes);
  }
  return Buffer.concat(parts);
}

/** A list as one field. */
export function encodeList(items: readonly string[]): Buffer {
  return encodeFields('', items);
}
