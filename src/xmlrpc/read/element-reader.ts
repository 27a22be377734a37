/** The XML layer as the grammar uses it: expected tags by their bytes, resolved element names, and the whole text of an element. */
import type { XmlRpcLimits } from '../options.ts';
import { Namespaces } from './namespaces.ts';
import type { TagBytes } from './tag-bytes.ts';
import { Content } from './text.ts';
import { XmlReader } from './xml-reader.ts';
import type { Token } from './xml-reader.ts';

/** Why reading a text stopped: at the expected bytes, at its end tag, at the start tag of a child, or at the end of the slice. */
export type TextEnd = 'expected' | 'close' | 'open' | 'paused';

/** Reads one document. */
export class ElementReader extends XmlReader {
  readonly content: Content;
  readonly view: DataView;
  readonly length: number;
  /** The name of the start tag: `ex:…` for the extensions, empty for other namespaces. */
  element = '';
  #namespaces: Namespaces | undefined;

  constructor(bytes: Buffer, limits: Readonly<XmlRpcLimits>) {
    super(bytes, limits);
    this.content = new Content(bytes);
    this.length = bytes.length;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** True if the document declares namespaces. Its tags are then parsed, and none is recognised by its bytes. */
  get hasNamespaces(): boolean {
    return this.#namespaces !== undefined;
  }

  /** True if the document binds a prefix other than `ex` to the extensions. */
  get usesForeignPrefix(): boolean {
    return this.#namespaces?.hasForeignPrefix === true;
  }

  /** True at the end of the slice, unless it is the end of the document. */
  get isPaused(): boolean {
    return this.at >= this.stop && this.stop < this.length;
  }

  /** Skips `tag` if it is next. */
  takes(tag: TagBytes): boolean {
    if (!tag.isAt(this.view, this.at, this.length) || this.#namespaces) return false;
    this.at += tag.length;
    return true;
  }

  /** The next token inside the element `open`; a start tag sets `element`. */
  token(open: string): Token {
    const token = this.next(open);
    if (token === 'open') this.#enter();
    else if (token === 'close') this.#namespaces?.leave();
    return token;
  }

  /** The next token outside the root element. */
  tokenOutside(isRootSeen: boolean): Token {
    const token = this.nextOutside(isRootSeen);
    if (token === 'open') this.#enter();
    return token;
  }

  /**
   * Continues to read the text of the element `open` into `content`, after `content.start()` was called. `end` is the end tag in its usual
   * spelling, possibly with the tags that follow it.
   */
  text(end: TagBytes, open: string): TextEnd {
    const { content } = this;
    if (content.isContiguous && !this.isEmptyTag) {
      this.at = content.scan(this.at, this.stop);
      if (this.takes(end)) return 'expected';
      if (this.isPaused) return 'paused';
      content.interrupt();
    }
    for (;;) {
      if (this.isPaused) return 'paused';
      const ended = this.#plain(end);
      if (ended) return ended;
      const token = this.token(open);
      if (token === 'text') content.append(this.from, this.to);
      else if (token === 'reference') content.appendPoint(this.reference.point, this.from);
      else if (token === 'close' || token === 'open') {
        content.finish(this.from);
        return token;
      }
    }
  }

  // Text and references, as far as they can be read without tokens.
  #plain(end: TagBytes): TextEnd | undefined {
    if (this.isEmptyTag || this.isInSection) return undefined;
    const { content } = this;
    this.at = content.copy(this.at, this.stop);
    if (content.length > 0 && this.takes(end)) return 'expected';
    return this.isPaused ? 'paused' : undefined;
  }

  #enter(): void {
    if (this.attributes.length > 0 && !this.#namespaces && Namespaces.areDeclaredBy(this.attributes)) this.#namespaces = new Namespaces();
    this.#namespaces?.enter(this.attributes, this.tagAt);
    this.element = this.#namespaces?.resolve(this.name) ?? this.name;
  }
}
