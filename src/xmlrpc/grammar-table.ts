/** The grammar of XML-RPC as data: at each place of a message, which tags may come, how they are usually spelt, and where they lead. */
import { TagBytes } from './tag-bytes.ts';

/** How a place is read: by its tags alone, outside the root element, or as text. */
type Kind = 'elements' | 'outside' | 'methodName' | 'name' | 'value' | 'untyped' | 'scalar' | 'base64';

/** One place in the grammar. */
export interface Place {
  readonly kind: Kind;
  /** The element that is open there. */
  readonly element: string;
  readonly steps: readonly Step[];
  /** Tags in a row that are recognised at once, as the steps one by one would have it. */
  readonly fused: readonly Step[];
  /** Its end tag, if the element may end here. */
  readonly end: Step | undefined;
  /** Tags in a row that start a struct as one of many. */
  readonly opening: TagBytes | undefined;
  /** Tags in a row that end a struct and the value that it is. */
  readonly closing: TagBytes | undefined;
}

/** A tag that may come. */
export interface Step {
  readonly name: string;
  readonly bytes: TagBytes;
  /** The place after the tag; undefined after the end of an array or struct, which may stand anywhere. */
  readonly to: Place | undefined;
  /** The place after the end of the value that starts. */
  readonly then: Place | undefined;
}

// name or bytes of the tag -> place after it, place after the value that it starts
type Steps = Readonly<Record<string, readonly [to: string, then?: string]>>;
interface Entry {
  readonly element: string;
  readonly kind?: Kind;
  readonly steps?: Steps;
  readonly fused?: Steps;
  readonly end?: readonly [to: string];
  readonly opening?: string;
  readonly closing?: string;
}

const CLOSE = 'close';

const ENTRIES: Readonly<Record<string, Entry>> = {
  callDocument: { element: 'document', kind: 'outside', steps: { methodCall: ['call'] } },
  responseDocument: { element: 'document', kind: 'outside', steps: { methodResponse: ['response'] } },
  structDocument: { element: 'document', kind: 'outside', steps: { struct: ['struct', 'documentEnd'] } },
  documentEnd: { element: 'document', kind: 'outside' },

  // <methodCall> <methodName/> <params/>? </methodCall>
  call: { element: 'methodCall', steps: { methodName: ['methodName'] } },
  methodName: { element: 'methodName', kind: 'methodName', end: ['callNamed'] },
  callNamed: { element: 'methodCall', steps: { params: ['params'] }, end: ['documentEnd'] },
  params: { element: 'params', steps: { param: ['param'] }, end: ['callEnd'] },
  param: { element: 'param', steps: { value: ['value', 'paramEnd'] } },
  paramEnd: { element: 'param', end: ['params'] },
  callEnd: { element: 'methodCall', end: ['documentEnd'] },

  // <methodResponse> ( <params> <param/> </params> | <fault> <value/> </fault> ) </methodResponse>
  response: { element: 'methodResponse', steps: { params: ['result'], fault: ['fault'] } },
  result: { element: 'params', steps: { param: ['resultParam'] } },
  resultParam: { element: 'param', steps: { value: ['value', 'resultParamEnd'] } },
  resultParamEnd: { element: 'param', end: ['resultEnd'] },
  resultEnd: { element: 'params', end: ['responseEnd'] },
  fault: { element: 'fault', steps: { value: ['value', 'faultEnd'] } },
  faultEnd: { element: 'fault', end: ['responseEnd'] },
  responseEnd: { element: 'methodResponse', end: ['documentEnd'] },

  // <value>text</value>, or exactly one typed child
  value: { element: 'value', kind: 'value' },
  untyped: { element: 'value', kind: 'untyped' },
  scalar: { element: 'value', kind: 'scalar' },
  base64: { element: 'value', kind: 'base64' },
  valueEnd: { element: 'value', end: [CLOSE] },

  // <array> <data> <value/>* </data> </array>
  array: { element: 'array', steps: { data: ['data'] } },
  // <array/>, which some write for an empty one
  arrayOrNothing: { element: 'array', steps: { data: ['data'] }, end: [CLOSE] },
  data: { element: 'data', steps: { value: ['value', 'data'] }, end: ['arrayEnd'], opening: '<value><struct>' },
  arrayEnd: { element: 'array', end: [CLOSE] },

  // <struct> ( <member> <name/> <value/> </member> )* </struct>
  struct: { element: 'struct', steps: { member: ['member'] }, fused: { '<member><name>': ['name'] }, end: [CLOSE] },
  member: { element: 'member', steps: { name: ['name'] } },
  name: { element: 'name', kind: 'name', fused: { '</name><value>': ['value', 'memberEnd'] }, end: ['memberNamed'] },
  memberNamed: { element: 'member', steps: { value: ['value', 'memberEnd'] } },
  memberEnd: { element: 'member', fused: { '</member><member><name>': ['name'] }, end: ['struct'], closing: '</member></struct></value>' },
};

const places = link();

/** Where a `<methodCall>` document starts. */
export const CALL = placeOf('callDocument');
/** Where a `<methodResponse>` document starts. */
export const RESPONSE = placeOf('responseDocument');
/** Where a text that is one `<struct>` starts. */
export const STRUCT_ALONE = placeOf('structDocument');
/** After the root element. */
export const DOCUMENT_END = placeOf('documentEnd');
/** In an array, before its `<data>`. */
export const ARRAY = placeOf('array');
/** The same where an empty array need not have it. */
export const ARRAY_OR_NOTHING = placeOf('arrayOrNothing');
/** In a struct, where a member may start. */
export const STRUCT = placeOf('struct');
/** In a struct, after the value of a member. */
export const MEMBER_END = placeOf('memberEnd');
/** In an untyped value. */
export const UNTYPED = placeOf('untyped');
/** In a typed value that is no base64. */
export const SCALAR = placeOf('scalar');
/** In a `<base64>`. */
export const BASE64 = placeOf('base64');
/** After the typed element of a value. */
export const VALUE_END = placeOf('valueEnd');
/** In a `<fault>`. */
export const FAULT = placeOf('fault');

/** What may come at a place, for error texts. */
export function expectedAt({ kind, steps }: Place): string {
  if (kind === 'value' || kind === 'untyped') return 'one typed element or text';
  if (steps.length === 0) return kind === 'elements' ? 'nothing more' : 'text only';
  return steps.map(({ name }) => `<${name}>`).join(' or ');
}

function placeOf(name: string): Place {
  const place = places.get(name);
  if (!place) throw new Error(`the grammar has no place "${name}"`);
  return place;
}

// The places refer to each other in circles, so they are made first and filled then.
function link(): ReadonlyMap<string, Place> {
  const made = new Map<string, Place & { steps: Step[]; fused: Step[]; end: Step | undefined }>();
  const find = (name: string | undefined): Place | undefined => {
    const place = name === undefined || name === CLOSE ? undefined : made.get(name);
    if (!place && name !== undefined && name !== CLOSE) throw new Error(`the grammar names a place "${name}" that does not exist`);
    return place;
  };
  const bytesOf = (text: string | undefined): TagBytes | undefined => (text === undefined ? undefined : new TagBytes(text));
  for (const [name, { element, kind = 'elements', opening, closing }] of Object.entries(ENTRIES)) {
    made.set(name, { kind, element, steps: [], fused: [], end: undefined, opening: bytesOf(opening), closing: bytesOf(closing) });
  }
  for (const [place, { element, steps = {}, fused = {}, end }] of Object.entries(ENTRIES)) {
    const step = (name: string, text: string, [to, then]: readonly [string, string?]): Step => {
      return { name, bytes: new TagBytes(text), to: find(to), then: find(then) };
    };
    const target = made.get(place);
    target?.steps.push(...Object.entries(steps).map(([name, next]) => step(name, `<${name}>`, next)));
    target?.fused.push(...Object.entries(fused).map(([text, next]) => step('', text, next)));
    if (target && end) target.end = step(element, `</${element}>`, end);
  }
  return made;
}
