/** The sink that writes values in canonical form: explicit types, nothing between elements, scalars in their original text. */
import type { Value } from '../../values/values.ts';
import { escapeLegal } from '../write/text.ts';
import type { Sink } from './grammar.ts';
import type { ScalarType } from './scalars.ts';
import type { Content } from './text.ts';

// The element for each type; integers and decimals of the extensions become types that every reader knows.
const TAGS: Readonly<Record<ScalarType, string>> = {
  string: 'string',
  int: 'int',
  i1: 'int',
  i2: 'int',
  i8: 'i8',
  biginteger: 'i8',
  double: 'double',
  bigdecimal: 'double',
  boolean: 'boolean',
  date: 'dateTime.iso8601',
  base64: 'base64',
  nil: 'nil',
};

// The time of a dateTime, up to the separator before its fraction.
const TIME = /[T ](\d\d):?(\d\d):?(\d\d)([.,]?)/;

/** Collects the members of the outermost struct: name -> `<value>…</value>`, in member order. */
export class CanonicalBuilder implements Sink {
  readonly members = new Map<string, string>();
  // Per open array or struct: its member names so far, undefined for an array. The values of the outermost struct are in `members`.
  readonly #open: (Set<string> | undefined)[] = [];
  #name = '';
  #out = '';

  scalar(type: ScalarType, value: Value, content: Content): void {
    this.#out += `<value>${scalarText(type, value, content)}</value>`;
    this.#finishValue();
  }

  open(kind: 'array' | 'struct'): void {
    if (this.#open.length > 0) this.#out += kind === 'array' ? '<value><array><data>' : '<value><struct>';
    this.#open.push(kind === 'struct' ? new Set() : undefined);
  }

  member(name: string): boolean {
    const names = this.#open.at(-1);
    if (!names || names.has(name)) return false;
    names.add(name);
    if (this.#open.length === 1) this.#name = name;
    else this.#out += `<member><name>${escapeLegal(name)}</name>`;
    return true;
  }

  close(): void {
    const names = this.#open.pop();
    if (this.#open.length === 0) return;
    this.#out += names ? '</struct></value>' : '</data></array></value>';
    this.#finishValue();
  }

  #finishValue(): void {
    if (this.#open.length === 1) {
      this.members.set(this.#name, this.#out);
      this.#out = '';
    } else if (this.#open.at(-1)) {
      this.#out += '</member>';
    }
  }
}

function scalarText(type: ScalarType, value: Value, content: Content): string {
  if (type === 'nil') return '<nil/>';
  // Base64 loses its white space, which is not part of the value. Numbers and dates contain nothing to escape.
  const text =
    typeof value === 'string' ? escapeLegal(value) : Buffer.isBuffer(value) ? value.toString('base64') : originalText(value, content);
  return `<${TAGS[type]}>${text}</${TAGS[type]}>`;
}

/** The original text in the spelling that every reader knows: `1` for `true`, `19980717T14:08:55.5` for `19980717 140855,5`. */
function originalText(value: Value, content: Content): string {
  if (typeof value === 'boolean') return value ? '1' : '0';
  if (!(value instanceof Date)) return content.text();
  return content.text().replace(TIME, (_all, hours: string, minutes: string, seconds: string, mark: string) => {
    return `T${hours}:${minutes}:${seconds}${mark === '' ? '' : '.'}`;
  });
}
