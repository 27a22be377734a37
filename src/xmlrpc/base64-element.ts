/** The content of a `<base64>`: decoded as it is read, for it may be most of the document. */
import { Base64Reader } from './base64.ts';
import { LESS } from './chars.ts';
import type { ElementReader, TextEnd } from './element-reader.ts';
import type { TagBytes } from './tag-bytes.ts';

/** One such element; the reader stands after its start tag. */
export class Base64Element {
  readonly #reader: ElementReader;
  readonly #base64: Base64Reader;
  // The first markup; up to there it needs no tokens.
  readonly #stretchEnd: number;

  constructor(reader: ElementReader) {
    const { bytes, at } = reader;
    const end = bytes.indexOf(LESS, at);
    this.#reader = reader;
    this.#stretchEnd = end === -1 ? bytes.length : end;
    this.#base64 = new Base64Reader(bytes, at, this.#stretchEnd);
  }

  /** Reads on, by a token at most; 'paused' if there is more to come. `end` is its end tag as everybody writes it, with what follows. */
  read(end: TagBytes, open: string): TextEnd {
    const reader = this.#reader;
    const base64 = this.#base64;
    const { bytes, at } = reader;
    if (!reader.isEmptyTag && !reader.isInSection) {
      if (at < this.#stretchEnd) reader.at = base64.feed(bytes, at, Math.min(reader.stop, this.#stretchEnd));
      if (reader.isPaused) return 'paused';
      if (reader.takes(end)) return 'expected';
    }
    const token = reader.token(open);
    if (token === 'open' || token === 'close') return token;
    if ((token === 'text' || token === 'reference') && base64.isEmpty) reader.content.at = reader.from;
    if (token === 'text') base64.text(bytes, reader.from, reader.to);
    else if (token === 'reference') base64.point(reader.reference.point);
    return 'paused';
  }

  /** The bytes; refuses what is no base64. */
  finish(): Buffer {
    return this.#base64.finish(this.#reader.content.at);
  }
}
