/** The grammar of XML-RPC as data: which element may stand where, how often, and in which order. */
import type { ScalarType } from './scalars.ts';

/** What reading an element does beyond moving through the table. */
export type Action = 'nothing' | 'value' | 'scalar' | 'array' | 'struct' | 'name' | 'methodName' | 'fault';

/** One place in the grammar: what may come next there. */
export interface Rule {
  /** The element that is open, for error texts. */
  readonly element: string;
  readonly steps: ReadonlyMap<string, Step>;
  /** The element may end here. */
  readonly mayEnd: boolean;
  /** Text may stand here; elsewhere only white space. */
  readonly hasText: boolean;
  readonly onOpen: Action;
  readonly onClose: Action;
  readonly scalar: ScalarType;
}

/** An element that may come: the rule inside it, and the rule of the place after it. */
export interface Step {
  readonly inside: Rule;
  readonly then: Rule;
}

// element name -> rule inside it, rule after it
type Steps = Readonly<Record<string, readonly [inside: string, then: string]>>;
interface Entry {
  readonly element: string;
  readonly steps?: Steps;
  readonly mayEnd?: boolean;
  readonly hasText?: boolean;
  readonly onOpen?: Action;
  readonly onClose?: Action;
  readonly scalar?: ScalarType;
}

const SCALARS: Readonly<Record<string, ScalarType>> = {
  int: 'int',
  i4: 'int',
  i8: 'i8',
  double: 'double',
  boolean: 'boolean',
  string: 'string',
  'dateTime.iso8601': 'date',
  base64: 'base64',
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

const TYPED: Steps = {
  ...Object.fromEntries(Object.keys(SCALARS).map((name) => [name, [name, 'valueEnd']] as const)),
  array: ['array', 'valueEnd'],
  struct: ['struct', 'valueEnd'],
};

const ENTRIES: Readonly<Record<string, Entry>> = {
  callDocument: { element: 'document', steps: { methodCall: ['call', 'documentEnd'] } },
  responseDocument: { element: 'document', steps: { methodResponse: ['response', 'documentEnd'] } },
  structDocument: { element: 'document', steps: { struct: ['struct', 'documentEnd'] } },
  documentEnd: { element: 'document', mayEnd: true },

  // <methodCall> <methodName/> <params/>? </methodCall>
  call: { element: 'methodCall', steps: { methodName: ['methodName', 'callNamed'] } },
  callNamed: { element: 'methodCall', steps: { params: ['params', 'callEnd'] }, mayEnd: true },
  callEnd: { element: 'methodCall', mayEnd: true },
  methodName: { element: 'methodName', hasText: true, mayEnd: true, onClose: 'methodName' },
  params: { element: 'params', steps: { param: ['param', 'params'] }, mayEnd: true },

  // <methodResponse> ( <params> <param/> </params> | <fault> <value/> </fault> ) </methodResponse>
  response: { element: 'methodResponse', steps: { params: ['result', 'responseEnd'], fault: ['fault', 'responseEnd'] } },
  responseEnd: { element: 'methodResponse', mayEnd: true },
  result: { element: 'params', steps: { param: ['param', 'resultEnd'] } },
  resultEnd: { element: 'params', mayEnd: true },
  fault: { element: 'fault', steps: { value: ['value', 'faultEnd'] }, onOpen: 'fault' },
  faultEnd: { element: 'fault', mayEnd: true },

  param: { element: 'param', steps: { value: ['value', 'paramEnd'] } },
  paramEnd: { element: 'param', mayEnd: true },

  // <value>text</value>, or exactly one typed child
  value: { element: 'value', steps: TYPED, hasText: true, mayEnd: true, onOpen: 'value', onClose: 'scalar' },
  valueEnd: { element: 'value', mayEnd: true },
  ...Object.fromEntries(
    Object.entries(SCALARS).map(([element, scalar]) => [
      element,
      { element, scalar, hasText: true, mayEnd: true, onClose: 'scalar' } as const,
    ]),
  ),

  // <array> <data> <value/>* </data> </array>
  array: { element: 'array', steps: { data: ['data', 'arrayEnd'] }, onOpen: 'array' },
  data: { element: 'data', steps: { value: ['value', 'data'] }, mayEnd: true },
  arrayEnd: { element: 'array', mayEnd: true, onClose: 'array' },

  // <struct> ( <member> <name/> <value/> </member> )* </struct>
  struct: { element: 'struct', steps: { member: ['member', 'struct'] }, mayEnd: true, onOpen: 'struct', onClose: 'struct' },
  member: { element: 'member', steps: { name: ['name', 'memberNamed'] } },
  memberNamed: { element: 'member', steps: { value: ['value', 'memberEnd'] } },
  memberEnd: { element: 'member', mayEnd: true },
  name: { element: 'name', hasText: true, mayEnd: true, onClose: 'name' },
};

const rules = link();

/** Where a `<methodCall>` document starts. */
export const CALL = ruleOf('callDocument');
/** Where a `<methodResponse>` document starts. */
export const RESPONSE = ruleOf('responseDocument');
/** Where a text that is one `<struct>` starts. */
export const STRUCT = ruleOf('structDocument');

function ruleOf(name: string): Rule {
  const rule = rules.get(name);
  if (!rule) throw new Error(`the grammar has no rule "${name}"`);
  return rule;
}

// The rules refer to each other in circles, so they are made first and filled then.
function link(): ReadonlyMap<string, Rule> {
  const made = new Map<string, Rule & { steps: Map<string, Step> }>();
  for (const [name, entry] of Object.entries(ENTRIES)) {
    const defaults = { mayEnd: false, hasText: false, onOpen: 'nothing', onClose: 'nothing', scalar: 'string' } as const;
    made.set(name, { ...defaults, ...entry, steps: new Map<string, Step>() });
  }
  for (const [name, entry] of Object.entries(ENTRIES)) {
    for (const [element, [inside, then]] of Object.entries(entry.steps ?? {})) {
      const step = { inside: made.get(inside), then: made.get(then) };
      if (!step.inside || !step.then) throw new Error(`the grammar's rule "${name}" names a rule that does not exist`);
      made.get(name)?.steps.set(element, { inside: step.inside, then: step.then });
    }
  }
  return made;
}
