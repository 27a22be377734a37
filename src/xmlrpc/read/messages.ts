/** Reads whole messages: decodes the body to UTF-8, runs it through the grammar, and returns what the sink built. */
import { isUtf8 } from 'node:buffer';
import { RelayError, ownCopy } from '../../core/core.ts';
import type { Dict, ExactOf, Sendable, Value } from '../../values/values.ts';
import { completeLimits } from '../options.ts';
import type { Leniency, ParseOptions, ReadOptions, SliceOptions } from '../options.ts';
import { CanonicalBuilder } from './build-canonical.ts';
import { SendableBuilder } from './build-sendable.ts';
import { ResponseBuilder, ValueBuilder } from './build-value.ts';
import type { FaultParts } from './build-value.ts';
import { decodeBody, plainBody, utf8 } from './encoding.ts';
import { CALL, RESPONSE, STRUCT_ALONE } from './grammar-table.ts';
import type { GrammarState } from './grammar-table.ts';
import { Grammar } from './grammar.ts';
import type { Sink } from './grammar.ts';
import { ParseError, positioned, refuse } from './parse-error.ts';
import { readPlainCall, readPlainStruct } from './plain-call.ts';
import type { PlainCall } from './plain-call.ts';
import type { ScalarRules } from './scalars.ts';

/** Which extensions a message used, in either spelling. */
export interface Extensions {
  /** `<nil/>` or `<ex:nil/>`. */
  readonly nil: boolean;
  /** `<i8>`, `<ex:i8>` or `<ex:biginteger>`. */
  readonly i8: boolean;
}

/** A call as received. */
export interface ParsedCall {
  readonly methodName: string;
  readonly params: readonly Value[];
  readonly extensions: Extensions;
  /**
   * The `<struct>…</struct>` of this call from which `dict` was read, byte for byte, in UTF-8 and in memory of its own. Undefined if `dict`
   * is not part of this call, or if the call binds another namespace prefix to the extensions, which the text would need to keep its
   * meaning.
   */
  sourceOf(dict: Dict): Buffer | undefined;
  readonly exactOf: ExactOf;
}

/** A response as received: a value, or a fault with its code and text. */
export type ParsedResponse =
  | {
      readonly kind: 'value';
      readonly value: Value;
      readonly extensions: Extensions;
      /** The value with the types of its numbers: a double that is whole stays a double when it is written again. */
      exact(): Sendable;
      readonly exactOf: ExactOf;
      /** Reads `part` of the value as a fault if it is a struct like one: the form in which system.multicall reports a failed call. */
      faultIn(part: Value): FaultParts | undefined;
    }
  | ({ readonly kind: 'fault' } & FaultParts);

/** One document to be read: where the grammar starts, what collects the values, and how the result is made at the end. */
interface Reading<T> {
  readonly start: GrammarState;
  readonly sink: Sink;
  readonly rules: ScalarRules;
  readonly result: (grammar: Grammar, bytes: Buffer) => T;
}

const NO_EXTENSIONS: Extensions = { nil: false, i8: false };
const ONLY_NIL: Extensions = { nil: true, i8: false };
const SLICE_BYTES = 256 * 1024;

/** Reads the body of a call. */
export function parseCall(body: Uint8Array, options: ParseOptions = {}): ParsedCall {
  const rules = rulesOf(options, 'forms');
  checkSize(body.byteLength, rules);
  const bytes = plainBody(body, options.charset);
  const call = bytes && readPlainCall(bytes, rules);
  return bytes && call ? plainCall(bytes, call) : parseCallByGrammar(body, options);
}

/** Reads the body of a call like {@link parseCall}, but always by the grammar. */
export function parseCallByGrammar(body: Uint8Array, options: ParseOptions = {}): ParsedCall {
  return readBody(body, options, callReading(options));
}

/** Reads the body of a call like {@link parseCall}, but yields to other work after each slice. */
export async function parseCallInSlices(body: Uint8Array, options: SliceOptions = {}): Promise<ParsedCall> {
  return readBodyInSlices(body, options, callReading(options));
}

/** Reads the body of a response: exactly one parameter, or a fault with exactly an int faultCode and a string faultString. */
export function parseResponse(body: Uint8Array, options: ParseOptions = {}): ParsedResponse {
  return readBody(body, options, responseReading(options));
}

/** Reads the body of a response like {@link parseResponse}, but yields to other work after each slice. */
export async function parseResponseInSlices(body: Uint8Array, options: SliceOptions = {}): Promise<ParsedResponse> {
  return readBodyInSlices(body, options, responseReading(options));
}

/** Reads one `<struct>…</struct>`, which as bytes is UTF-8. */
export function parseStruct(source: string | Buffer, options: ReadOptions = {}): Dict {
  const rules = rulesOf(options, 'forms');
  checkSize(Buffer.byteLength(source), rules);
  return readPlainStruct(bytesOf(source), rules) ?? parseStructByGrammar(source, options);
}

/** Reads one `<struct>…</struct>` like {@link parseStruct}, but always by the grammar. */
export function parseStructByGrammar(source: string | Buffer, options: ReadOptions = {}): Dict {
  const sink = new ValueBuilder();
  readStruct(source, sink, options);
  return sink.roots[0] as Dict;
}

/** Reads one `<struct>…</struct>` as a map from member name to canonical `<value>…</value>`, in member order. */
export function canonicalMembers(source: string | Buffer, options: ReadOptions = {}): Map<string, string> {
  const sink = new CanonicalBuilder();
  readStruct(source, sink, options);
  return sink.members;
}

/**
 * Reads one `<struct>…</struct>` as values that keep their types when written again, in member order; with `i8`, that includes small 64-bit
 * integers.
 */
export function sendableMembers(source: string | Buffer, i8: boolean, options: ReadOptions = {}): Map<string, Sendable> {
  const sink = new SendableBuilder(i8);
  readStruct(source, sink, options);
  return sink.members;
}

function plainCall(bytes: Buffer, { methodName, params, usesNil, structs, exact }: PlainCall): ParsedCall {
  return {
    methodName,
    params,
    extensions: usesNil ? ONLY_NIL : NO_EXTENSIONS,
    sourceOf: (dict) => {
      const span = structs.spanOf(dict);
      return span && ownCopy(bytes, span.from, span.to);
    },
    exactOf: (part) => exact?.of(part),
  };
}

function callReading(options: ParseOptions): Reading<ParsedCall> {
  const sink = new ValueBuilder();
  const result = (grammar: Grammar, bytes: Buffer): ParsedCall => {
    const sourceOf = (dict: Dict): Buffer | undefined => {
      const span = grammar.usesForeignPrefix ? undefined : sink.spanOf(dict);
      return span && ownCopy(bytes, span.from, span.to);
    };
    return {
      methodName: grammar.methodName,
      params: sink.roots,
      extensions: extensionsOf(grammar),
      sourceOf,
      exactOf: (part) => sink.exactOf(part),
    };
  };
  return { start: CALL, sink, rules: rulesOf(options, 'forms'), result };
}

function responseReading(options: ParseOptions): Reading<ParsedResponse> {
  const rules = rulesOf(options, 'none');
  const sink = new ResponseBuilder(rules.leniency === 'values');
  const result = (grammar: Grammar, bytes: Buffer): ParsedResponse => {
    const [value = null] = sink.roots;
    if (grammar.isFault) return { kind: 'fault', ...faultOf(bytes, value, sink) };
    return {
      kind: 'value',
      value,
      extensions: extensionsOf(grammar),
      exact: () => (sink.exactOf(sink.roots) as readonly Sendable[] | undefined)?.[0] ?? value,
      exactOf: (part) => sink.exactOf(part),
      faultIn: (part) => sink.faultIn(part),
    };
  };
  return { start: RESPONSE, sink, rules, result };
}

function readBody<T>(body: Uint8Array, { charset }: ParseOptions, reading: Reading<T>): T {
  checkSize(body.byteLength, reading.rules);
  return readUtf8(plainBody(body, charset) ?? finish(decodeBody(body, charset)), reading);
}

async function readBodyInSlices<T>(body: Uint8Array, options: SliceOptions, { start, sink, rules, result }: Reading<T>): Promise<T> {
  checkSize(body.byteLength, rules);
  const bytes = await finishInTurns(decodeBody(body, options.charset));
  try {
    const grammar = new Grammar(start, bytes, sink, rules);
    while (!grammar.read(options.sliceBytes ?? SLICE_BYTES)) await new Promise(setImmediate);
    return result(grammar, bytes);
  } catch (error) {
    throw error instanceof ParseError ? await finishInTurns(positioned(bytes, error)) : error;
  }
}

function readStruct(source: string | Buffer, sink: Sink, options: ReadOptions): void {
  const rules = rulesOf(options, 'forms');
  checkSize(Buffer.byteLength(source), rules);
  readUtf8(bytesOf(source), { start: STRUCT_ALONE, sink, rules, result: () => undefined });
}

function bytesOf(source: string | Buffer): Buffer {
  if (typeof source !== 'string') return isUtf8(source) ? source : finish(utf8(source));
  const bytes = Buffer.from(source);
  if (bytes.length !== source.length) checkSurrogates(source, bytes);
  return bytes;
}

function readUtf8<T>(bytes: Buffer, { start, sink, rules, result }: Reading<T>): T {
  try {
    const grammar = new Grammar(start, bytes, sink, rules);
    while (!grammar.read());
    return result(grammar, bytes);
  } catch (error) {
    throw error instanceof ParseError ? finish(positioned(bytes, error)) : error;
  }
}

/** Rejects a lone surrogate, which has no UTF-8. `bytes` is the text encoded. */
function checkSurrogates(text: string, bytes: Buffer): void {
  const at = text.search(/\p{Surrogate}/u);
  if (at === -1) return;
  const refusal = new ParseError('NOT_WELL_FORMED', Buffer.byteLength(text.slice(0, at)), 'a character that XML does not allow');
  throw finish(positioned(bytes, refusal));
}

function faultOf(bytes: Buffer, value: Value, builder: ResponseBuilder): FaultParts {
  const lenient = builder.lenientFault(value);
  if (lenient) return lenient;
  const span = builder.spanOf(value as Dict);
  if (!span) return refuse('INVALID_REQUEST', bytes.indexOf('<fault'), 'a fault is a struct');
  const reason = 'a fault has exactly the members faultCode, an int, and faultString, a string';
  return builder.faultIn(value) ?? refuse('INVALID_REQUEST', span.from, reason);
}

function rulesOf({ limits, allowNonFinite, leniency: wanted }: ReadOptions, usual: Leniency): ScalarRules {
  const leniency = wanted ?? usual;
  return { limits: completeLimits(limits), allowNonFinite: allowNonFinite === true || leniency === 'values', leniency };
}

function checkSize(bytes: number, { limits: { maxBodyBytes } }: ScalarRules): void {
  if (bytes > maxBodyBytes) throw new RelayError('LIMIT', `the body has ${bytes} bytes; the limit is ${maxBodyBytes}`);
}

function finish<T>(steps: Generator<undefined, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

async function finishInTurns<T>(steps: Generator<undefined, T>): Promise<T> {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
    await new Promise(setImmediate);
  }
}

function extensionsOf({ usesNil, usesI8 }: Grammar): Extensions {
  return { nil: usesNil, i8: usesI8 };
}
