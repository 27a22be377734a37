/**
 * The XML layer as the grammar uses it: expected tags by their bytes, element names without their prefixes, the text of an element as a
 * whole.
 */
import { Content } from './content.ts';
import type { XmlRpcLimits } from './limits.ts';
import { Namespaces } from './namespaces.ts';
import type { TagBytes } from './tag-bytes.ts';
import { XmlReader } from './xml-reader.ts';
import type { Token } from './xml-reader.ts';

/** How a text ended: by the bytes that were expected, by its end tag, at the start of a child; or the slice did. */
export type TextEnd = 'expected' | 'close' | 'open' | 'paused';

/** Reads one document. */
export class ElementReader extends XmlReader {
  readonly content: Content;
  readonly view: DataView;
  readonly length: number;
  /** The name of the start tag: `ex:…` if it is of the extensions, empty if of another namespace. */
  element = '';
  #namespaces: Namespaces | undefined;

  constructor(bytes: Buffer, limits: Readonly<XmlRpcLimits>) {
    super(bytes, limits);
    this.content = new Content(bytes);
    this.length = bytes.length;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  /** True if the document declares namespaces: its tags must be taken apart then, and none is recognised by its bytes. */
  get hasNamespaces(): boolean {
    return this.#namespaces !== undefined;
  }

  /** True if a part of the document may mean something else outside of it. */
  get isEntangled(): boolean {
    return this.#namespaces?.hasForeignPrefix === true;
  }

  /** True if the slice ends here; the end of the document is no such end. */
  get isPaused(): boolean {
    return this.at >= this.stop && this.stop < this.length;
  }

  /** Moves over `tag` if it stands here. */
  takes(tag: TagBytes): boolean {
    if (!tag.isAt(this.view, this.at, this.length) || this.#namespaces) return false;
    this.at += tag.length;
    return true;
  }

  /** The next token inside the element `open`; `element` is set by a start tag. */
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
   * Reads on with the text of the element `open` into `content`, to its end or to that of the slice; `content.start()` must have been
   * called. `end` is its end tag as everybody writes it, perhaps with what follows.
   */
  text(end: TagBytes, open: string): TextEnd {
    const { content } = this;
    if (content.isStretch && !this.isEmptyTag) {
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

  // Text and references, as far as they need no tokens.
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
