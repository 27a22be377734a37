/** Reads of a LevelDB manifest which numbers its next files get, since LevelDB writes to a file of such a number even if one exists. */

// doc/log_format.md of LevelDB: blocks of fragments, each with a checksum (4 bytes), a length (2), a type (1) and its data.
const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const WHOLE = 1;
const BEGINNING = 2;
// db/version_edit.cc: the members of an edit in the order in which LevelDB writes them, each with its tag.
const COMPARATOR = 1;
const LOG_NUMBER = 2;
const NEXT_FILE = 3;
const PREVIOUS_LOG_NUMBER = 9;

/**
 * The number from which on LevelDB names new files when it opens a database with this manifest. Of a manifest that is cut or damaged it is
 * the number at the point to which it can be read, or 0.
 */
export function nextFileNumber(manifest: Buffer): number {
  let next = 0;
  let at = 0;
  while (at + HEADER_BYTES <= manifest.length) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const end = at + HEADER_BYTES + manifest.readUInt16LE(at + 4);
    const type = manifest.readUInt8(at + 6);
    if (type === 0 || end > manifest.length) break;
    // An edit begins with the number; what follows of it does not matter.
    if (type === WHOLE || type === BEGINNING) next = numberIn(new Reader(manifest.subarray(at + HEADER_BYTES, end))) ?? next;
    at = end;
  }
  return next;
}

function numberIn(edit: Reader): number | undefined {
  for (let tag = edit.varint(); ; tag = edit.varint()) {
    if (tag === NEXT_FILE) return edit.varint();
    if (tag === COMPARATOR) edit.skip(edit.varint() ?? Infinity);
    else if (tag === LOG_NUMBER || tag === PREVIOUS_LOG_NUMBER) edit.varint();
    else return undefined;
  }
}

class Reader {
  #at = 0;

  constructor(private readonly bytes: Buffer) {}

  /** The next number; undefined at the end. */
  varint(): number | undefined {
    let [value, factor] = [0, 1];
    while (this.#at < this.bytes.length) {
      const byte = this.bytes.readUInt8(this.#at++);
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 0x80;
    }
    return undefined;
  }

  skip(length: number): void {
    this.#at += length;
  }
}
