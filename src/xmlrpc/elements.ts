/** The elements that may stand in a `<value>`: how each is spelt, and what it is read as. */
import type { ScalarType } from './scalars.ts';
import { TagBytes } from './tag-bytes.ts';

/** An element that may stand in a `<value>`. */
export interface Typed {
  readonly name: string;
  readonly type: ScalarType | 'array' | 'struct';
  /** Mostly a few digits. */
  readonly isNumeric: boolean;
  /** Its start tag as everybody writes it. */
  readonly start: TagBytes;
  /** Its end tag and that of the `<value>` around it. */
  readonly end: TagBytes;
}

const TYPES: Readonly<Record<string, Typed['type']>> = {
  string: 'string',
  struct: 'struct',
  int: 'int',
  i4: 'int',
  i8: 'i8',
  double: 'double',
  'dateTime.iso8601': 'date',
  boolean: 'boolean',
  base64: 'base64',
  array: 'array',
  nil: 'nil',
  'ex:nil': 'nil',
  'ex:i1': 'i1',
  'ex:i2': 'i2',
  'ex:int': 'int',
  'ex:i8': 'i8',
  'ex:biginteger': 'biginteger',
  'ex:float': 'double',
  'ex:bigdecimal': 'bigdecimal',
  'ex:dateTime': 'date',
};

const ALL: ReadonlyMap<string, Typed> = new Map(
  Object.entries(TYPES).map(([name, type]) => [
    name,
    {
      name,
      type,
      isNumeric: ['int', 'double', 'boolean'].includes(type),
      start: new TagBytes(`<${name}>`),
      end: new TagBytes(`</${name}></value>`),
    },
  ]),
);
// Byte after the `<` -> what may start with it, the commonest first.
const BY_LETTER: readonly (readonly Typed[])[] = Array.from({ length: 128 }, (_, letter) =>
  [...ALL.values()].filter(({ name }) => name.charCodeAt(0) === letter),
);
const NONE: readonly Typed[] = [];

/** The element of this name; `ex:` is the prefix of the extensions. */
export function typedNamed(name: string): Typed | undefined {
  return ALL.get(name);
}

/** The element whose plain start tag stands at `at`. */
export function typedAt(bytes: Uint8Array, view: DataView, at: number): Typed | undefined {
  const candidates = BY_LETTER[bytes[at + 1] ?? 0] ?? NONE;
  for (const candidate of candidates) if (candidate.start.isAt(view, at, bytes.length)) return candidate;
  return undefined;
}
