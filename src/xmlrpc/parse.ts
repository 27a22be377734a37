/** Whole messages and structs from bytes or text to values: limits, decoding, grammar and sink put together. */
import { RelayError } from '../core/core.ts';
import type { Dict, Sendable, Value } from '../values/values.ts';
import { SendableBuilder } from './build-sendable.ts';
import { ResponseBuilder, ValueBuilder } from './build-value.ts';
import type { FaultParts } from './build-value.ts';
import { CanonicalWriter } from './canonical.ts';
import { decodeBody, plainBody } from './decode.ts';
import { Grammar } from './grammar.ts';
import type { Sink } from './sink.ts';
import { CALL, RESPONSE, STRUCT_ALONE } from './grammar-table.ts';
import type { Place } from './grammar-table.ts';
import { completeLimits } from './limits.ts';
import { ownCopy } from './own-copy.ts';
import type { XmlRpcLimits } from './limits.ts';
import { Refusal, placed, refuse } from './refuse.ts';
import type { ScalarRules } from './scalars.ts';

/** Which extensions a message used, in either spelling. */
export interface Extensions {
  /** `<nil/>` or `<ex:nil/>`. */
  readonly nil: boolean;
  /** `<i8>`, `<ex:i8>` or `<ex:biginteger>`. */
  readonly i8: boolean;
}

/** What a struct is read with. */
export interface ReadOptions {
  limits?: Partial<XmlRpcLimits> | undefined;
  /** `NaN`, `INF`, `-INF`, `inf`, `Infinity` … in doubles. Default false: XML-RPC has finite numbers only, and few could be told. */
  allowNonFinite?: boolean | undefined;
  /**
   * Reads what programs write although the specification does not have it, where it has one meaning: white space around numbers, booleans
   * and
   * dates, `true` and `false`, dates without colons, with a space for the `T` or a comma before the fraction, `<array/>` without `<data>`.
   * Default true for calls and structs, false for responses.
   */
  lenientForms?: boolean | undefined;
}

/** What a body is read with. */
export interface ParseOptions extends ReadOptions {
  /** The charset parameter of the Content-Type. */
  charset?: string | undefined;
  /** Of a response: see the client's option `answers`; includes `lenientForms`. Default false. */
  isLenient?: boolean | undefined;
}

/** What a body is read with, in slices. */
export interface SliceOptions extends ParseOptions {
  /**
   * Bytes between two pauses. Default 256 KiB: a millisecond for usual bodies, some ten for the worst. Not
   * sliced, at a few milliseconds for 32 MiB: whether it is UTF-8, one long text of ASCII, the last copy of a base64.
   */
  sliceBytes?: number | undefined;
}

/** A call as it came. */
export interface ParsedCall {
  readonly methodName: string;
  readonly params: readonly Value[];
  readonly extensions: Extensions;
  /**
   * The `<struct>…</struct>` of this call that `dict` was read from, exactly as it came, in UTF-8 and in memory of its own. Undefined if
   * `dict` is not of this call, or if
   * the call binds a namespace prefix of its own to the extensions, without which the text would mean something else.
   */
  sourceOf(dict: Dict): Buffer | undefined;
}

/** A response as it came: a value, or a fault with its code and text. */
export type ParsedResponse =
  | {
      readonly kind: 'value';
      readonly value: Value;
      readonly extensions: Extensions;
      /** The fault that `part` of the value is, if it is a struct like one: what system.multicall answers for a call that failed. */
      faultIn(part: Value): FaultParts | undefined;
    }
  | ({ readonly kind: 'fault' } & FaultParts);

/** A parse that pauses now and then. */
type Steps<T> = Generator<undefined, T>;

const SLICE_BYTES = 256 * 1024;

/** Reads the body of a call. */
export function parseCall(body: Uint8Array, options: ParseOptions = {}): ParsedCall {
  const rules = rulesOf(options);
  const bytes = wholeUtf8Of(body, options.charset, rules);
  const builder = new ValueBuilder();
  return callOf(readWhole(CALL, bytes, builder, rules), bytes, builder);
}

/** Reads the body of a call as {@link parseCall} does, and lets other work run after each slice of it. */
export async function parseCallInSlices(body: Uint8Array, options: SliceOptions = {}): Promise<ParsedCall> {
  return finishInTurns(callSteps(body, options, options.sliceBytes ?? SLICE_BYTES));
}

/** Reads the body of a response: exactly one parameter, or a fault of exactly an int faultCode and a string faultString. */
export function parseResponse(body: Uint8Array, options: ParseOptions = {}): ParsedResponse {
  const rules = responseRulesOf(options);
  const bytes = wholeUtf8Of(body, options.charset, rules);
  const builder = new ResponseBuilder(rules.isLenient);
  const grammar = readWhole(RESPONSE, bytes, builder, rules);
  try {
    return responseOf(grammar, bytes, builder);
  } catch (error) {
    throw finish(explained(bytes, error));
  }
}

/** Reads the body of a response as {@link parseResponse} does, and lets other work run after each slice of it. */
export async function parseResponseInSlices(body: Uint8Array, options: SliceOptions = {}): Promise<ParsedResponse> {
  return finishInTurns(responseSteps(body, options, options.sliceBytes ?? SLICE_BYTES));
}

/** Reads the body of a response that is no fault: its value, to be written anew as it was, a double that is whole as a double. */
export function sendableResponse(body: Uint8Array, options: ParseOptions = {}): Sendable {
  const builder = new SendableBuilder(true);
  finish(sendableSteps(body, builder, options));
  return builder.root;
}

function* sendableSteps(body: Uint8Array, builder: SendableBuilder, options: ParseOptions): Steps<Grammar> {
  const rules = responseRulesOf(options);
  return yield* read(RESPONSE, yield* utf8Of(body, options.charset, rules), builder, rules, Infinity);
}

/** Reads a text, or its UTF-8, that is one `<struct>…</struct>`. */
export function parseStruct(source: string | Buffer, options: ReadOptions = {}): Dict {
  const builder = new ValueBuilder();
  finish(structSteps(source, builder, options));
  return builder.roots[0] as Dict;
}

/** The members of a text that is one `<struct>…</struct>`: name -> canonical `<value>…</value>`, in member order. */
export function canonicalMembers(source: string | Buffer, options: ReadOptions = {}): Map<string, string> {
  const writer = new CanonicalWriter();
  finish(structSteps(source, writer, options));
  return writer.members;
}

/**
 * The members of a text that is one `<struct>…</struct>` as values to be written anew, in member order; with `i8`, small integers of 64
 * bits stay such.
 */
export function sendableMembers(source: string | Buffer, i8: boolean, options: ReadOptions = {}): Map<string, Sendable> {
  const builder = new SendableBuilder(i8);
  finish(structSteps(source, builder, options));
  return builder.members;
}

function* callSteps(body: Uint8Array, options: ParseOptions, sliceBytes: number): Steps<ParsedCall> {
  const rules = rulesOf(options);
  const bytes = yield* utf8Of(body, options.charset, rules);
  const builder = new ValueBuilder();
  return callOf(yield* read(CALL, bytes, builder, rules, sliceBytes), bytes, builder);
}

function callOf(grammar: Grammar, bytes: Buffer, builder: ValueBuilder): ParsedCall {
  const sourceOf = (dict: Dict): Buffer | undefined => {
    const span = grammar.isEntangled ? undefined : builder.spanOf(dict);
    return span && ownCopy(bytes, span.from, span.to);
  };
  return { methodName: grammar.methodName, params: builder.roots, extensions: extensionsOf(grammar), sourceOf };
}

function* responseSteps(body: Uint8Array, options: ParseOptions, sliceBytes: number): Steps<ParsedResponse> {
  const rules = responseRulesOf(options);
  const bytes = yield* utf8Of(body, options.charset, rules);
  const builder = new ResponseBuilder(rules.isLenient);
  const grammar = yield* read(RESPONSE, bytes, builder, rules, sliceBytes);
  try {
    return responseOf(grammar, bytes, builder);
  } catch (error) {
    throw yield* explained(bytes, error);
  }
}

function responseOf(grammar: Grammar, bytes: Buffer, builder: ResponseBuilder): ParsedResponse {
  const [value = null] = builder.roots;
  if (grammar.isFault) return faultOf(bytes, value, builder);
  return { kind: 'value', value, extensions: extensionsOf(grammar), faultIn: (part) => builder.faultIn(part) };
}

function* structSteps(source: string | Buffer, sink: Sink, options: ReadOptions): Steps<Grammar> {
  const rules = rulesOf(options);
  if (typeof source !== 'string') {
    bounded(source.length, 'bytes', rules);
    return yield* read(STRUCT_ALONE, source, sink, rules, Infinity);
  }
  bounded(source.length, 'characters', rules);
  const bytes = Buffer.from(source);
  // Half a surrogate pair has no UTF-8.
  const half = bytes.length === source.length ? -1 : source.search(/\p{Surrogate}/u);
  if (half === -1) return yield* read(STRUCT_ALONE, bytes, sink, rules, Infinity);
  const at = Buffer.byteLength(source.slice(0, half));
  throw yield* placed(bytes, new Refusal('NOT_WELL_FORMED', at, 'a character that XML does not allow'));
}

function* read(start: Place, bytes: Buffer, sink: Sink, rules: ScalarRules, sliceBytes: number): Steps<Grammar> {
  try {
    const grammar = new Grammar(start, bytes, sink, rules);
    while (!grammar.read(sliceBytes)) yield;
    return grammar;
  } catch (error) {
    throw yield* explained(bytes, error);
  }
}

// The same without pauses.
function readWhole(start: Place, bytes: Buffer, sink: Sink, rules: ScalarRules): Grammar {
  try {
    const grammar = new Grammar(start, bytes, sink, rules);
    while (!grammar.read());
    return grammar;
  } catch (error) {
    throw finish(explained(bytes, error));
  }
}

function faultOf(bytes: Buffer, value: Value, builder: ResponseBuilder): ParsedResponse {
  const lenient = builder.lenientFault(value);
  if (lenient) return { kind: 'fault', ...lenient };
  const span = builder.spanOf(value as Dict);
  if (!span) return refuse('INVALID_REQUEST', bytes.indexOf('<fault'), 'a fault is a struct');
  const fault = builder.faultIn(value);
  if (!fault) return refuse('INVALID_REQUEST', span.from, 'a fault has exactly the members faultCode, an int, and faultString, a string');
  return { kind: 'fault', ...fault };
}

function rulesOf({ limits, allowNonFinite, lenientForms }: ReadOptions): ScalarRules {
  return {
    limits: completeLimits(limits),
    allowNonFinite: allowNonFinite === true,
    lenientForms: lenientForms !== false,
    isLenient: false,
  };
}

function responseRulesOf({ limits, allowNonFinite, lenientForms, isLenient = false }: ParseOptions): ScalarRules {
  return {
    limits: completeLimits(limits),
    allowNonFinite: allowNonFinite === true || isLenient,
    lenientForms: lenientForms === true || isLenient,
    isLenient,
  };
}

function utf8Of(body: Uint8Array, charset: string | undefined, rules: ScalarRules): Steps<Buffer> {
  bounded(body.byteLength, 'bytes', rules);
  return decodeBody(body, charset);
}

function wholeUtf8Of(body: Uint8Array, charset: string | undefined, rules: ScalarRules): Buffer {
  bounded(body.byteLength, 'bytes', rules);
  return plainBody(body, charset) ?? finish(decodeBody(body, charset));
}

function bounded(length: number, unit: string, { limits: { maxBodyBytes } }: ScalarRules): void {
  if (length > maxBodyBytes) throw new RelayError('LIMIT', `the body has ${length} ${unit}; the limit is ${maxBodyBytes}`);
}

function* explained(bytes: Buffer, error: unknown): Steps<unknown> {
  return error instanceof Refusal ? yield* placed(bytes, error) : error;
}

function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

async function finishInTurns<T>(steps: Steps<T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await new Promise(setImmediate);
  }
}

function extensionsOf({ usesNil, usesI8 }: Grammar): Extensions {
  return { nil: usesNil, i8: usesI8 };
}
