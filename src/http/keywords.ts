/** Exposed methods as keywords of Robot Framework: their names, arguments and types, and what a keyword's arguments are to its method. Pure. */
import type { Sendable, Value } from '../values/values.ts';
import type { Method } from '../rpc/rpc.ts';

/** What `get_library_information` answers of one keyword. */
export interface KeywordDescription {
  /** In Robot's spelling: `arg1`, `arg2=` if it may be left out, `*args`, `**named`. */
  readonly args: readonly string[];
  /** Argument -> type, as Robot names types; it converts what a test says to them. */
  readonly types: Readonly<Record<string, string>>;
  readonly doc: string;
  readonly tags: readonly string[];
}

// What is missing, `any` and `nil`, Robot passes on as it is.
const ROBOT_TYPES: ReadonlyMap<string, string> = new Map([
  ['int', 'int'],
  ['i4', 'int'],
  ['i8', 'int'],
  ['double', 'float'],
  ['boolean', 'bool'],
  ['string', 'str'],
  ['base64', 'bytes'],
  ['dateTime.iso8601', 'datetime'],
  ['array', 'list'],
  ['struct', 'dict'],
]);

/** A keyword's name as Robot compares names: it ignores case, spaces and underscores. */
function spokenName(name: string): string {
  return name.replace(/[ _]/g, '').toLowerCase();
}

/**
 * The methods that are keywords, sorted by name. Of several whose names are one to Robot only the first is: Robot would refuse them all. Decided
 * among all methods, so that a name means the same for every caller.
 */
export function keywordsOf(methods: readonly Method[]): Method[] {
  const spoken = new Set<string>();
  return methods
    .toSorted((one, other) => (one.name < other.name ? -1 : 1))
    .filter(({ name }) => !spoken.has(spokenName(name)) && spoken.add(spokenName(name)));
}

/** The method that a keyword's name means: the one of exactly this name, else the keyword that Robot takes for the same. */
export function findKeyword(methods: readonly Method[], name: string): Method | undefined {
  const spoken = spokenName(name);
  return methods.find((method) => method.name === name) ?? keywordsOf(methods).find((method) => spokenName(method.name) === spoken);
}

/** Arguments have no names in a signature: they are `arg1`, `arg2`, ... A struct at the end may be given as named arguments, too. */
export function describeKeyword({ name, help, access, signatures }: Method): KeywordDescription {
  const tags = [name.slice(0, name.lastIndexOf('.')), access];
  const ways = (signatures ?? []).map(([, ...types]) => types).toSorted((one, other) => one.length - other.length);
  const [fewest] = ways;
  const most = ways.at(-1);
  if (!fewest || !most) return { args: ['*args'], types: {}, doc: help, tags };
  const takesNamed = most.at(-1) === 'struct';
  const needed = Math.min(fewest.length, takesNamed ? most.length - 1 : most.length);
  const args = most.map((_type, index) => (index < needed ? argument(index) : `${argument(index)}=`));
  const types = most.flatMap((type, index) => {
    const known = ROBOT_TYPES.get(type);
    return known === undefined ? [] : [[argument(index), known] as const];
  });
  return { args: takesNamed ? [...args, '**named'] : args, types: Object.fromEntries(types), doc: help, tags };
}

/** What the method gets: the positional arguments, and the named ones as a struct after them. */
export function parametersOf({ signatures = [] }: Method, args: readonly Value[], named: Value | undefined): readonly Value[] {
  // Robot sends a text with control characters as bytes, for XML cannot carry it.
  const given = args.map((value, index) => {
    const isText = signatures.length > 0 && signatures.every((types) => types[index + 1] === undefined || types[index + 1] === 'string');
    return isText && Buffer.isBuffer(value) ? value.toString('latin1') : value;
  });
  return named === undefined ? given : [...given, named];
}

/** What `run_keyword` answers of a method that answered. */
export function passed(value: Sendable): Sendable {
  return { status: 'PASS', output: '', return: value, error: '', traceback: '' };
}

/** What `run_keyword` answers of one that failed: `text` is all that Robot learns. */
export function failed(text: string): Sendable {
  return { status: 'FAIL', output: '', return: '', error: text, traceback: '', continuable: false, fatal: false };
}

function argument(index: number): string {
  return `arg${index + 1}`;
}
