/**
 * What must hold of any bytes whatever: a value or a RelayError, never anything else; what is read can be written and reads back; nobody's
 * prototype changes.
 */
import { isUtf8 } from 'node:buffer';
import { isDeepStrictEqual } from 'node:util';
import { RelayError } from '../../src/core/core.ts';
import type { Dict, Value } from '../../src/values/values.ts';
import { canonicalMembers, parseCall, parseResponse, parseStruct, serialiseCall, serialiseStruct } from '../../src/xmlrpc/xmlrpc.ts';
import { parseCallByGrammar, parseStructByGrammar } from '../../src/xmlrpc/read/messages.ts';
import { readJson, writeJson } from '../../src/json/json.ts';
import type { ParsedCall, XmlRpcLimits } from '../../src/xmlrpc/xmlrpc.ts';
import { structText } from '../xmlrpc/wire.ts';

const ALL = { nil: true, i8: true };
const CODES = ['NOT_WELL_FORMED', 'UNSUPPORTED_ENCODING', 'INVALID_CHARACTER', 'INVALID_REQUEST', 'LIMIT'];
const SAID = /^(?:line \d+, column \d+: |the body has )[^\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]{3,300}$/u;
const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, Map.prototype, String.prototype];
const OWN = PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length);

/** Throws an Error if the codec handles `body` wrongly. */
export function examine(body: Buffer): void {
  const call = outcome(() => parseCall(body));
  examineShortcut(body, call);
  if (call.value) examineCall(body, call.value);
  const response = outcome(() => parseResponse(body));
  if (response.value?.kind === 'value') examineValue(response.value.value);
  examineStruct(body.toString('utf8'));
  isSame(
    'prototypes',
    PROTOTYPES.map((prototype) => Reflect.ownKeys(prototype).length),
    OWN,
  );
}

/** Throws an Error if the JSON reader and writer handle `body` wrongly. */
export function examineJson(body: Buffer): void {
  let value: Value;
  try {
    ({ value } = readJson(body));
  } catch (error) {
    if (!RelayError.is(error) || !['NOT_WELL_FORMED', 'LIMIT'].includes(error.code))
      throw new Error('an error of another kind', { cause: error });
    return;
  }
  const written = writeJson(value, 'value');
  const again = readJson(Buffer.from(written)).value;
  isSame('JSON that is written and read', again, value);
  isSame('JSON that is written twice', writeJson(again, 'value'), written);
}

/** What `attempt` returns, or the text of its RelayError; any other error is a finding. */
function outcome<T>(attempt: () => T): { value?: T; refusal?: string } {
  try {
    return { value: attempt() };
  } catch (error) {
    if (!RelayError.is(error) || !CODES.includes(error.code)) throw new Error('an error of another kind', { cause: error });
    if (!SAID.test(error.message))
      throw new Error(`an error text without position, or with unsafe characters: ${JSON.stringify(error.message)}`);
    return { refusal: `${error.code} ${error.message}` };
  }
}

/**
 * Throws an Error unless `call`, what `parseCall` made of `body` within `limits`, is what the grammar makes of it: method, values, types of
 * numbers, sources of structs, extensions, and the text of a refusal.
 */
export function examineShortcut(body: Buffer, call = outcome(() => parseCall(body)), limits?: Partial<XmlRpcLimits>): void {
  const expected = outcome(() => parseCallByGrammar(body, { limits }));
  isSame('the refusal by the grammar', call.refusal, expected.refusal);
  if (call.value && expected.value) isSame('a call as the grammar reads it', facetsOf(call.value), facetsOf(expected.value));
}

/** Throws an Error if limits apply to usual calls in another way than the grammar says. */
export function examineLimits(body: Buffer, limits: Partial<XmlRpcLimits>): void {
  examineShortcut(
    body,
    outcome(() => parseCall(body, { limits })),
    limits,
  );
}

/** All that a caller can learn from a call, in the order of its members. */
function facetsOf(call: ParsedCall): unknown[] {
  const { methodName, params, extensions } = call;
  const facets: unknown[] = [methodName, extensions, params, call.exactOf(params)];
  const open: Value[] = [...params];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) open.push(...(value as readonly Value[]));
    else if (isStruct(value)) {
      facets.push(Object.keys(value), call.sourceOf(value)?.toString());
      open.push(...Object.values(value));
    }
  }
  return facets;
}

function examineCall(body: Buffer, call: ParsedCall): void {
  for (const param of call.params) examineValue(param);
  const written = serialiseCall(call.methodName, call.params, ALL);
  const again = parseCall(written);
  isSame('a call that is written and read', again.params, call.params.map(withoutMs));
  isSame('a call that is written twice', serialiseCall(again.methodName, again.params, ALL).equals(written), true);
  for (const param of call.params) {
    const source = isStruct(param) ? call.sourceOf(param) : undefined;
    if (source !== undefined) isSame('the source of a struct', parseStruct(source), param);
  }
  const text = body.toString('utf8');
  // A declared encoding may read the same bytes as other characters.
  if (isUtf8(body) && !text.startsWith('\ufeff') && !text.slice(0, 300).includes('encoding')) {
    const wide = parseCall(Buffer.from(`\ufeff${text}`, 'utf16le'));
    isSame('a call in UTF-16', wide.params, call.params);
    // XML 2.11: whatever the line ends are, it is as if they had been LF.
    const lines = parseCall(Buffer.from(text.replace(/\r\n?/g, '\n')));
    isSame('a call with other line ends', lines.params, call.params);
  }
}

/** Throws an Error unless `parseStruct` makes of a struct, within `limits`, what the grammar makes of it. */
export function examinePlainStruct(
  source: string | Buffer,
  limits?: Partial<XmlRpcLimits>,
  dict = outcome(() => parseStruct(source, { limits })),
): void {
  const expected = outcome(() => parseStructByGrammar(source, { limits }));
  isSame('the refusal by the grammar', dict.refusal, expected.refusal);
  if (!dict.value || !expected.value) return;
  isSame('a struct as the grammar reads it', dict.value, expected.value);
  isSame('the order of its members', Object.keys(dict.value), Object.keys(expected.value));
}

function examineStruct(source: string): void {
  const dict = outcome(() => parseStruct(source));
  examinePlainStruct(source, undefined, dict);
  const members = outcome(() => canonicalMembers(source));
  isSame('the refusals of a struct and of its canonical form', members.refusal, dict.refusal);
  if (!dict.value || !members.value) return;
  examineValue(dict.value);
  isSame('the names of a struct and of its canonical form', new Set(members.value.keys()), new Set(Object.keys(dict.value)));
  const canonical = structText(members.value);
  isSame('a canonical text', parseStruct(canonical), dict.value);
  isSame('a canonical text of a canonical text', [...canonicalMembers(canonical)], [...members.value]);
  isSame('a struct that is written and read', parseStruct(serialiseStruct(dict.value, ALL)), withoutMs(dict.value));
}

// Plain data: dicts without a prototype, dense arrays, and the six scalars.
function examineValue(root: Value): void {
  const open: Value[] = [root];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (Array.isArray(value)) {
      const list = value as readonly Value[];
      if (Object.keys(list).length !== list.length) throw new Error('an array with holes');
      open.push(...list);
    } else if (isStruct(value)) {
      for (const name of Reflect.ownKeys(value)) {
        const member = Object.getOwnPropertyDescriptor(value, name);
        if (typeof name !== 'string' || !member?.enumerable || !('value' in member)) throw new Error('a member that is not plain data');
        open.push(member.value as Value);
      }
    } else if (!isScalar(value)) throw new Error(`a value of a type that a parse never yields: ${typeof value}`);
  }
}

function isStruct(value: Value): value is Dict {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null;
}

function isScalar(value: Value): boolean {
  if (value === null || typeof value === 'boolean' || typeof value === 'bigint') return true;
  if (typeof value === 'number') return Number.isFinite(value);
  if (typeof value === 'string') return !/\p{Surrogate}/u.test(value);
  return Buffer.isBuffer(value) || (value instanceof Date && !Number.isNaN(value.getTime()));
}

// A date is written in seconds.
function withoutMs(value: Value): Value {
  if (value instanceof Date) return new Date(Math.floor(value.getTime() / 1000) * 1000);
  if (Array.isArray(value)) return (value as readonly Value[]).map(withoutMs);
  if (!isStruct(value)) return value;
  const copy = Object.create(null) as Record<string, Value>;
  for (const name of Object.keys(value)) copy[name] = withoutMs(value[name]!);
  return copy;
}

function isSame(what: string, found: unknown, expected: unknown): void {
  if (isDeepStrictEqual(found, expected)) return;
  throw new Error(`${what} differs: ${show(found)} for ${show(expected)}`);
}

function show(value: unknown): string {
  const text = JSON.stringify([value], (_name, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));
  return text.slice(0, 300);
}
