/** Which prefix means the extensions of Apache's XML-RPC: `ex`, unless the document says otherwise. */

const EXTENSIONS = 'http://ws.apache.org/xmlrpc/namespaces/extensions';
const DECLARES = 'xmlns:';
const USUAL = 'ex';

/** The prefixes declared at each place of a document, from the first element that declares one. */
export class Namespaces {
  // prefix -> what it means, innermost last
  readonly #meanings = new Map<string, boolean[]>();
  // One entry per open element; those that were open before declare nothing.
  readonly #declared: (readonly string[] | undefined)[] = [];
  /** True once a prefix other than `ex` was bound to the extensions: a part of the document then means nothing by itself. */
  hasForeignPrefix = false;

  /** True if attributes (names and values by turns) declare anything but that `ex` means the extensions, which is so anyway. */
  static areDeclaredBy(attributes: readonly string[]): boolean {
    for (let i = 0; i < attributes.length; i += 2) {
      const name = attributes[i] ?? '';
      if (name.startsWith(DECLARES) && (name !== DECLARES + USUAL || attributes[i + 1] !== EXTENSIONS)) return true;
    }
    return false;
  }

  /** An element starts; its attributes are names and values by turns. */
  enter(attributes: readonly string[]): void {
    let prefixes: string[] | undefined;
    for (let i = 0; i < attributes.length; i += 2) {
      const name = attributes[i] ?? '';
      if (name.startsWith(DECLARES)) (prefixes ??= []).push(this.#bind(name.slice(DECLARES.length), attributes[i + 1] === EXTENSIONS));
    }
    this.#declared.push(prefixes);
  }

  /** The innermost element ends. */
  leave(): void {
    for (const prefix of this.#declared.pop() ?? []) this.#meanings.get(prefix)?.pop();
  }

  /** `ex:local` for an element of the extensions, a name that no grammar has for one of another namespace, else `name` itself. */
  resolve(name: string): string {
    const colon = name.indexOf(':');
    if (colon === -1) return name;
    const prefix = name.slice(0, colon);
    const isExtension = this.#meanings.get(prefix)?.at(-1) ?? prefix === USUAL;
    return isExtension ? `${USUAL}${name.slice(colon)}` : '';
  }

  #bind(prefix: string, isExtension: boolean): string {
    const meanings = this.#meanings.get(prefix);
    if (meanings) meanings.push(isExtension);
    else this.#meanings.set(prefix, [isExtension]);
    if (isExtension && prefix !== USUAL) this.hasForeignPrefix = true;
    return prefix;
  }
}
