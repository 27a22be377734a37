/** Resolves the prefixes of the extensions of Apache XML-RPC: `ex`, unless the document declares others ("Namespaces in XML 1.0"). */
import { readReference } from './reference.ts';
import { refuse } from './parse-error.ts';

const EXTENSIONS = 'http://ws.apache.org/xmlrpc/namespaces/extensions';
const DECLARES = 'xmlns:';
const USUAL = 'ex';
// Section 3: only `xml` may be bound to the first; `xmlns` is bound to the second and cannot be declared.
const XML = 'http://www.w3.org/XML/1998/namespace';
const XMLNS = 'http://www.w3.org/2000/xmlns/';

/** The prefixes in scope, from the first element that declares one. */
export class Namespaces {
  // prefix -> whether it stands for the extensions, innermost declaration last
  readonly #meanings = new Map<string, boolean[]>();
  // One entry per open element. Elements that were open before the first declaration have none.
  readonly #declared: (readonly string[] | undefined)[] = [];
  /** True once a prefix other than `ex` was bound to the extensions. */
  hasForeignPrefix = false;

  /** True if attributes (alternating names and values) declare anything other than the default meaning of `ex`. */
  static areDeclaredBy(attributes: readonly string[]): boolean {
    for (let i = 0; i < attributes.length; i += 2) {
      const name = attributes[i] ?? '';
      if (name.startsWith(DECLARES) && (name !== DECLARES + USUAL || attributes[i + 1] !== EXTENSIONS)) return true;
    }
    return false;
  }

  /** The element whose tag is at `at` starts; its attributes are alternating names and raw values. Refuses invalid declarations. */
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

  /** `ex:local` for an element of the extensions, an empty name for one of another namespace, otherwise `name` itself. */
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

/** Why a declaration is invalid; undefined if it is valid. */
function problemOf(prefix: string, uri: string): string | undefined {
  if (prefix === '' || prefix.includes(':')) return 'a namespace declaration whose prefix is not a name';
  if (uri === '') return 'a namespace declaration with an empty URI';
  if (prefix === 'xmlns' || uri === XMLNS || (prefix === 'xml') !== (uri === XML))
    return 'a namespace declaration of a name that is reserved for XML';
  return undefined;
}

/** The value of an attribute with its references replaced; they are known to be well-formed. */
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
