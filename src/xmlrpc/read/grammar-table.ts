/** The grammar of XML-RPC as a state machine: which tags may occur in each state, how they are usually spelt, and which state follows. */
import type { ScalarType } from './scalars.ts';
import { TagBytes } from './tag-bytes.ts';

/** How a state is read: by its tags alone, outside the root element, or as text. */
type Kind = 'elements' | 'outside' | 'methodName' | 'name' | 'value' | 'untyped' | 'scalar' | 'base64';

/** A state of the parser. */
export interface GrammarState {
  readonly kind: Kind;
  /** The element that is open. */
  readonly element: string;
  readonly transitions: readonly Transition[];
  /** Sequences of tags that are recognised at once, with the same result as one by one. */
  readonly fused: readonly Transition[];
  /** The end tag, if the element may end here. */
  readonly end: Transition | undefined;
  /** A sequence of tags that starts a struct as one of many values. */
  readonly opening: TagBytes | undefined;
  /** A sequence of tags that ends a struct and the value around it. */
  readonly closing: TagBytes | undefined;
}

/** A tag that may occur in a state. */
export interface Transition {
  readonly name: string;
  readonly bytes: TagBytes;
  /** The state after the tag; undefined after the end of an array or struct, which depends on what is around it. */
  readonly to: GrammarState | undefined;
  /** The state after the end of the value that starts here. */
  readonly afterValue: GrammarState | undefined;
}

// name or bytes of the tag -> state after it, state after the value that it starts
type Transitions = Readonly<Record<string, readonly [to: string, afterValue?: string]>>;
interface Entry {
  readonly element: string;
  readonly kind?: Kind;
  readonly transitions?: Transitions;
  readonly fused?: Transitions;
  readonly end?: readonly [to: string];
  readonly opening?: string;
  readonly closing?: string;
}

const CLOSE = 'close';

const ENTRIES: Readonly<Record<string, Entry>> = {
  callDocument: { element: 'document', kind: 'outside', transitions: { methodCall: ['call'] } },
  responseDocument: { element: 'document', kind: 'outside', transitions: { methodResponse: ['response'] } },
  structDocument: { element: 'document', kind: 'outside', transitions: { struct: ['struct', 'documentEnd'] } },
  documentEnd: { element: 'document', kind: 'outside' },

  // <methodCall> <methodName/> <params/>? </methodCall>
  call: { element: 'methodCall', transitions: { methodName: ['methodName'] } },
  methodName: { element: 'methodName', kind: 'methodName', end: ['callNamed'] },
  callNamed: { element: 'methodCall', transitions: { params: ['params'] }, end: ['documentEnd'] },
  params: { element: 'params', transitions: { param: ['param'] }, end: ['callEnd'] },
  param: { element: 'param', transitions: { value: ['value', 'paramEnd'] } },
  paramEnd: { element: 'param', end: ['params'] },
  callEnd: { element: 'methodCall', end: ['documentEnd'] },

  // <methodResponse> ( <params> <param/> </params> | <fault> <value/> </fault> ) </methodResponse>
  response: { element: 'methodResponse', transitions: { params: ['result'], fault: ['fault'] } },
  result: { element: 'params', transitions: { param: ['resultParam'] } },
  resultParam: { element: 'param', transitions: { value: ['value', 'resultParamEnd'] } },
  resultParamEnd: { element: 'param', end: ['resultEnd'] },
  resultEnd: { element: 'params', end: ['responseEnd'] },
  fault: { element: 'fault', transitions: { value: ['value', 'faultEnd'] } },
  faultEnd: { element: 'fault', end: ['responseEnd'] },
  responseEnd: { element: 'methodResponse', end: ['documentEnd'] },

  // <value>text</value>, or exactly one typed child
  value: { element: 'value', kind: 'value' },
  untyped: { element: 'value', kind: 'untyped' },
  scalar: { element: 'value', kind: 'scalar' },
  base64: { element: 'value', kind: 'base64' },
  valueEnd: { element: 'value', end: [CLOSE] },

  // <array> <data> <value/>* </data> </array>
  array: { element: 'array', transitions: { data: ['data'] } },
  // <array/>, which some programs write for an empty array
  arrayOrNothing: { element: 'array', transitions: { data: ['data'] }, end: [CLOSE] },
  data: { element: 'data', transitions: { value: ['value', 'data'] }, end: ['arrayEnd'], opening: '<value><struct>' },
  arrayEnd: { element: 'array', end: [CLOSE] },

  // <struct> ( <member> <name/> <value/> </member> )* </struct>
  struct: { element: 'struct', transitions: { member: ['member'] }, fused: { '<member><name>': ['name'] }, end: [CLOSE] },
  member: { element: 'member', transitions: { name: ['name'] } },
  name: { element: 'name', kind: 'name', fused: { '</name><value>': ['value', 'memberEnd'] }, end: ['memberNamed'] },
  memberNamed: { element: 'member', transitions: { value: ['value', 'memberEnd'] } },
  memberEnd: { element: 'member', fused: { '</member><member><name>': ['name'] }, end: ['struct'], closing: '</member></struct></value>' },
};

const states = link();

/** The start of a `<methodCall>` document. */
export const CALL = stateOf('callDocument');
/** The start of a `<methodResponse>` document. */
export const RESPONSE = stateOf('responseDocument');
/** The start of a document that is one `<struct>`. */
export const STRUCT_ALONE = stateOf('structDocument');
/** After the root element. */
export const DOCUMENT_END = stateOf('documentEnd');
/** In an array, before its `<data>`. */
export const ARRAY = stateOf('array');
/** In an array that may end without `<data>`. */
export const ARRAY_OR_NOTHING = stateOf('arrayOrNothing');
/** In a struct, where a member may start. */
export const STRUCT = stateOf('struct');
/** In a struct, after the value of a member. */
export const MEMBER_END = stateOf('memberEnd');
/** In an untyped value. */
export const UNTYPED = stateOf('untyped');
/** In a typed scalar other than base64. */
export const SCALAR = stateOf('scalar');
/** In a `<base64>`. */
export const BASE64 = stateOf('base64');
/** After the typed element of a value. */
export const VALUE_END = stateOf('valueEnd');
/** In a `<fault>`. */
export const FAULT = stateOf('fault');

/** What may occur in a state, for error texts. */
export function expectedIn({ kind, transitions }: GrammarState): string {
  if (kind === 'value' || kind === 'untyped') return 'one typed element or text';
  if (transitions.length === 0) return kind === 'elements' ? 'nothing more' : 'text only';
  return transitions.map(({ name }) => `<${name}>`).join(' or ');
}

function stateOf(name: string): GrammarState {
  const state = states.get(name);
  if (!state) throw new Error(`the grammar has no state "${name}"`);
  return state;
}

// The states refer to each other in cycles, so all are created before their transitions are filled in.
function link(): ReadonlyMap<string, GrammarState> {
  const made = new Map<string, GrammarState & { transitions: Transition[]; fused: Transition[]; end: Transition | undefined }>();
  const find = (name: string | undefined): GrammarState | undefined => {
    const state = name === undefined || name === CLOSE ? undefined : made.get(name);
    if (!state && name !== undefined && name !== CLOSE) throw new Error(`the grammar refers to a state "${name}" that does not exist`);
    return state;
  };
  const bytesOf = (text: string | undefined): TagBytes | undefined => (text === undefined ? undefined : new TagBytes(text));
  for (const [name, { element, kind = 'elements', opening, closing }] of Object.entries(ENTRIES)) {
    made.set(name, { kind, element, transitions: [], fused: [], end: undefined, opening: bytesOf(opening), closing: bytesOf(closing) });
  }
  for (const [from, { element, transitions = {}, fused = {}, end }] of Object.entries(ENTRIES)) {
    const transition = (name: string, text: string, [to, afterValue]: readonly [string, string?]): Transition => {
      return { name, bytes: new TagBytes(text), to: find(to), afterValue: find(afterValue) };
    };
    const state = made.get(from);
    state?.transitions.push(...Object.entries(transitions).map(([name, next]) => transition(name, `<${name}>`, next)));
    state?.fused.push(...Object.entries(fused).map(([text, next]) => transition('', text, next)));
    if (state && end) state.end = transition(element, `</${element}>`, end);
  }
  return made;
}

/** An element that may occur in a `<value>`. */
export interface Typed {
  readonly name: string;
  readonly type: ScalarType | 'array' | 'struct';
  /** True if its text is usually a few digits. */
  readonly isNumeric: boolean;
  /** Its start tag in the usual spelling. */
  readonly start: TagBytes;
  /** Its end tag and the one of the `<value>` around it. */
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

const TYPED: ReadonlyMap<string, Typed> = new Map(
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
// Byte after the `<` -> elements that start with it, the most frequent first.
const TYPED_BY_LETTER: readonly (readonly Typed[])[] = Array.from({ length: 128 }, (_, letter) =>
  [...TYPED.values()].filter(({ name }) => name.charCodeAt(0) === letter),
);
const NONE: readonly Typed[] = [];

/** The element with this name; `ex:` is the prefix of the extensions. */
export function typedNamed(name: string): Typed | undefined {
  return TYPED.get(name);
}

/** The element whose start tag, in the usual spelling, is at `at`. */
export function typedAt(bytes: Uint8Array, view: DataView, at: number): Typed | undefined {
  const candidates = TYPED_BY_LETTER[bytes[at + 1] ?? 0] ?? NONE;
  for (const candidate of candidates) if (candidate.start.isAt(view, at, bytes.length)) return candidate;
  return undefined;
}
