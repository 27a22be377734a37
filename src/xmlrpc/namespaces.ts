/** Which prefix means the extensions of Apache's XML-RPC: `ex`, unless the document says otherwise as "Namespaces in XML 1.0" allows it. */
import { readReference } from './reference.ts';
import { refuse } from './refuse.ts';

const EXTENSIONS = 'http://ws.apache.org/xmlrpc/namespaces/extensions';
const DECLARES = 'xmlns:';
const USUAL = 'ex';
// Section 3: `xml` means the first and nothing else does, `xmlns` means the second and cannot be declared.
const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

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

  /**
   * The element whose tag is at `at` starts; its attributes are names and raw values by turns. Throws the refusal of a declaration that
   * cannot be.
   */
  enter(attributes: readonly string[], at: number): void {
    let prefixes: string[] | undefined;
    for (let i = 0; i < attributes.length; i += 2) {
      const name = attributes[i] ?? '';
      if (!name.startsWith(DECLARES)) continue;
      const prefix = name.slice(DECLARES.length);
      const uri = withoutReferences(attributes[i + 1] ?? '');
      const problem = problemOf(prefix, uri);
      if (problem !== undefined) refuse('NOT_WELL_FORMED', at, problem);
      (prefixes ??= []).push(this.#bind(prefix, uri === EXTENSIONS));
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

/** Why a prefix cannot be declared so; undefined if it can. */
function problemOf(prefix: string, uri: string): string | undefined {
  if (prefix === '' || prefix.includes(':')) return 'a declaration of a namespace whose prefix is no name';
  if (uri === '') return 'a prefix that is declared to mean nothing';
  if (prefix === 'xmlns' || uri === XMLNS || (prefix === 'xml') !== (uri === XML)) return 'a declaration of what is reserved to XML';
  return undefined;
}

/** An attribute's value with its references, which are known to be good, replaced. */
function withoutReferences(raw: string): string {
  if (!raw.includes('&')) return raw;
  const bytes = Buffer.from(raw);
  const reference = { point: 0, end: 0 };
  let text = '';
  for (let from = 0; ; from = reference.end) {
    const at = bytes.indexOf('&', from);
    text += bytes.toString('utf8', from, at === -1 ? bytes.length : at);
    if (at === -1) return text;
    readReference(bytes, at, reference);
    text += String.fromCodePoint(reference.point);
  }
}
